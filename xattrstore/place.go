// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"vhost-user-9p/qidpath"
)

// place is where a table can be, and what was read or written there last.
type place struct {
	name     string
	medium   medium
	logger   *slog.Logger
	written  *atomic.Uint64 // bytes
	chunkMax int            // bytes; the largest chunk that may work

	fresh      bool // what follows is what is stored, if nobody else has changed it
	elements   stream
	identities stream

	// Why it is not used: the whole table or, with the first ones, only the
	// identities.
	noIdentities error
	rejected     error // damaged, so it may be set aside
	unusable     error // cannot hold a table

	// Compared with what is in memory:
	proven int  // elements
	behind bool // an identity is missing

	warnedSurplus    int // bytes
	warnedIdentities bool
}

func newPlace(name string, m medium, logger *slog.Logger, written *atomic.Uint64) *place {
	p := &place{name: name, medium: m, logger: logger, written: written, chunkMax: m.maxValue()}
	p.forget()
	return p
}

// forget makes the place one that holds nothing.
func (p *place) forget() {
	p.fresh = false
	p.elements = stream{series: elementSeries}
	p.identities = stream{series: identitySeries}
	p.noIdentities, p.rejected, p.unusable = nil, nil, nil
	p.proven, p.behind = 0, false
}

// refresh reads what is stored, or as much of it as tells that nothing has
// changed. It returns the errors that leave the place and what is in it alone.
func (p *place) refresh() (changed bool, err error) {
	changed, err = p.medium.begin()
	if err == nil && !changed && p.fresh {
		same, err := p.unchanged()
		if err != nil || same {
			return false, err
		}
	}
	p.forget()
	if err == nil {
		err = p.read()
	}
	if damaged(err) {
		p.rejected = err
		return true, nil
	}
	return true, err
}

func (p *place) unchanged() (bool, error) {
	for _, st := range []*stream{&p.elements, &p.identities} {
		if same, err := st.unchanged(p.medium, st.series, p.chunkSize()); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// read reads both streams.
func (p *place) read() (err error) {
	if p.elements.image, err = readImage(p.medium, elementSeries); err != nil {
		return err
	}
	im, err := readImage(p.medium, identitySeries)
	if err != nil && !errors.Is(err, ErrTooLong) {
		return err
	}
	p.identities.image, p.noIdentities = im, err

	labels, c, err := p.elements.parseTable()
	p.elements.covered = c
	if p.noIdentities == nil {
		p.identities.covered, p.noIdentities = p.identities.parseIdentities(labels)
	}
	if err != nil {
		return err
	}
	p.fresh = p.noIdentities == nil
	p.warn(p.elements.surplus(), p.noIdentities)
	return nil
}

// warn says once what is wrong with a table that can be used.
func (p *place) warn(surplus int, noIdentities error) {
	if surplus > 0 && p.warnedSurplus != surplus {
		p.logger.Warn("qid table recovered, its last append was cut off",
			"place", p.name, "entries", p.elements.n, "surplus_bytes", surplus)
	}
	p.warnedSurplus = surplus
	if noIdentities != nil && !p.warnedIdentities {
		p.logger.Warn("qid table has no usable identities of file systems, so device numbers are trusted",
			"place", p.name, "entries", p.elements.n, "error", noIdentities)
	}
	p.warnedIdentities = noIdentities != nil
}

// parseTable returns the labels in an image of elements. No chunks are no
// elements.
func (im image) parseTable() ([]label, covered, error) {
	switch {
	case len(im) == 0:
		return nil, covered{}, nil
	case im[0] == nil:
		return nil, covered{}, ErrFirstChunk
	}
	return parseTable(im.bytes())
}

// parseIdentities reads an image of identities of elements with these labels.
func (im image) parseIdentities(labels []label) (covered, error) {
	switch {
	case len(im) == 0:
		return covered{}, nil
	case im[0] == nil:
		return covered{}, ErrFirstChunk
	case len(im[0]) < headerSize: // no write could commit an append
		return covered{}, ErrShortHeader
	}
	b := im.bytes()
	c, err := identitySeries.parse(b)
	if err != nil {
		return covered{}, err
	}
	n := min(c.n, len(labels))
	return c, unique(resolve(labels, b[headerSize:identitySeries.size(n)], int(c.reserved)))
}

// table returns the elements that are stored.
func (p *place) table() []qidpath.Element {
	labels, _, err := p.elements.parseTable()
	if err != nil {
		return nil
	}
	if p.noIdentities != nil {
		return resolve(labels, nil, 0)
	}
	return resolve(labels, p.identities.entries(min(p.identities.n, len(labels))), int(p.identities.reserved))
}

// compare counts what is proven in stored, the place's table, and finds out
// whether it lacks an identity that t has.
func (p *place) compare(stored []qidpath.Element, t *table) {
	p.proven, p.behind = 0, false
	for i, e := range stored {
		if !e.Unproven {
			p.proven++
		} else if t.elements[i].FS != e.FS {
			p.behind = true
		}
	}
}

// set sets one attribute.
func (p *place) set(name string, value []byte) error {
	if err := p.medium.set(name, value); err != nil {
		return err
	}
	p.written.Add(uint64(len(value)))
	return nil
}
