// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/virtio9p"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
)

const (
	defaultMaxMsize = ninep.DefaultMaxMsize

	minMsize = ninep.MinMsize
	maxMsize = 16 << 20

	maxThreads = 256 // as many as the device has at most, with those that wait

	defaultPoll   = 50 * time.Microsecond // what it takes to wake a processor that sleeps
	maxPollMicros = 1000                  // more is a processor that does nothing else

	// Less leaves nothing to open files with.
	minNofile = 128

	formatText = "text"
	formatJSON = "json"

	// The longest path that fits into a sockaddr_un with its NUL.
	maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1
)

func parseNonEmpty(s, what string, to *string) error {
	if s == "" {
		return errors.New("is empty, needed is " + what)
	}
	*to = s
	return nil
}

func parseSocketPath(s string, to *string) error {
	if len(s) > maxSocketPath {
		return fmt.Errorf("has %d bytes, the path of a socket has at most %d", len(s), maxSocketPath)
	}
	if strings.HasSuffix(s, "/") {
		return errors.New("ends with a slash, needed is the path of a socket")
	}
	return parseNonEmpty(s, "the path of a socket", to)
}

func parseFD(o *options, s string) error {
	n, err := strconv.ParseInt(s, 10, 32)
	switch {
	case err != nil || n < 0:
		return errors.New("is not a file descriptor, needed is 0 or a number from 3 on")
	case n == 1 || n == 2:
		return errors.New("is an output of the daemon, needed is 0 or a number from 3 on")
	}
	o.fd = int(n)
	return nil
}

func parseTag(o *options, s string) error {
	switch {
	case s == "" || len(s) > virtio9p.MaxTagLen:
		return fmt.Errorf("has %d bytes, a mount tag has 1 to %d", len(s), virtio9p.MaxTagLen)
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("has a control character, which a mount tag must not")
	}
	o.tag = s
	return nil
}

func parseModel(o *options, s string) error {
	m, ok := hostfs.ParseModel(s)
	if !ok {
		return errors.New("is not one of passthrough, mapped-xattr (or mapped), mapped-file, none")
	}
	o.model, o.modelSet = m, true
	return nil
}

// parseHostMode reads permissions in octal, with or without a 0 in front.
func parseHostMode(s string, to *uint32) error {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return errors.New("is not a mode in octal from 0001 to 0777")
	}
	*to = uint32(n)
	return nil
}

func parseIDRanges(s string, to *hostfs.IDMap) error {
	ranges, err := hostfs.ParseIDRanges(s)
	if err != nil {
		return fmt.Errorf("is not a list of ranges such as 0:100000:65536 (%w)", err)
	}
	to.Ranges = ranges
	return nil
}

func parseSquash(s string, to *hostfs.IDMap) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == math.MaxUint32 {
		return fmt.Errorf("is not an ID of the host, a number from 0 to %d", uint32(math.MaxUint32-1))
	}
	to.Squash, to.SquashTo = true, uint32(n)
	return nil
}

func parseXattrMap(o *options, s string) (err error) {
	if o.xattrMap, err = hostfs.ParseXattrMap(s); err != nil {
		return fmt.Errorf("is not a list of rules such as :map::user.guest.: (%w)", err)
	}
	return nil
}

func parseMultiDevs(o *options, s string) error {
	m, ok := hostfs.ParseMultiDevs(s)
	if !ok {
		return errors.New("is not one of remap, forbid, warn")
	}
	o.multiDevs = m
	return nil
}

func parseQIDStore(o *options, s string) error {
	if s == "none" {
		o.qidForget = true
		return nil
	}
	m, err := xattrstore.ParseMode(s)
	if err != nil {
		return errors.New("is not one of auto, xattr, file, none")
	}
	o.qidForget, o.qidStore = false, m
	return nil
}

func parseQIDLayout(o *options, s string) error {
	l, ok := qidpath.ParseLayout(s)
	if !ok {
		return errors.New("is not one of prefix, suffix")
	}
	o.qidLayout = l
	return nil
}

func parseWriteOut(o *options, s string) error {
	if s != "immediate" {
		return errors.New("is not immediate, the only way of writing out besides the host's own")
	}
	o.writeOut = true
	return nil
}

func parseMaxMsize(o *options, s string) error {
	n, ok := parseSize(s)
	if !ok || n < minMsize || n > maxMsize {
		return fmt.Errorf("is not a size in bytes from %d to %d, such as 524288, 512K or 1M", minMsize, maxMsize)
	}
	o.maxMsize = uint32(n)
	return nil
}

// parseSize reads a number of bytes with an optional binary unit.
func parseSize(s string) (uint64, bool) {
	shift := 0
	for i, unit := range []string{"K", "M"} {
		if number, ok := strings.CutSuffix(strings.ToUpper(s), unit); ok {
			s, shift = number, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return 0, false
	}
	return n << shift, true
}

func parseThreads(o *options, s string) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxThreads {
		return fmt.Errorf("is not a number of threads, needed is 0 (as many as processors) to %d", maxThreads)
	}
	o.threads = int(n)
	return nil
}

func parsePoll(o *options, s string) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxPollMicros {
		return fmt.Errorf("is not a time in microseconds from 0 to %d", maxPollMicros)
	}
	o.poll = time.Duration(n) * time.Microsecond
	return nil
}

func parseNode(o *options, s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return errors.New("is not the number of a NUMA node")
	}
	o.node = int(n)
	return nil
}

func parseNofile(o *options, s string) error {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < minNofile {
		return fmt.Errorf("is not a number of open files, needed is one from %d on", minNofile)
	}
	o.nofile = n
	return nil
}

func parseLogLevel(o *options, s string) error {
	switch s {
	case "debug":
		o.logLevel = slog.LevelDebug
	case "info":
		o.logLevel = slog.LevelInfo
	case "warn":
		o.logLevel = slog.LevelWarn
	case "error":
		o.logLevel = slog.LevelError
	default:
		return errors.New("is not one of debug, info, warn, error")
	}
	return nil
}

func parseLogFormat(o *options, s string) error {
	if s != formatText && s != formatJSON {
		return errors.New("is neither text nor json")
	}
	o.logFormat = s
	return nil
}

// endpoint is where to listen.
type endpoint struct {
	network string // "tcp" or "unix"
	address string
}

func (e endpoint) String() string {
	if e.network == "unix" {
		return "unix:" + e.address
	}
	return e.address
}

func parseEndpoint(s string) (*endpoint, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		e := &endpoint{network: "unix"}
		return e, parseSocketPath(path, &e.address)
	}
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return nil, errors.New("is neither ADDR:PORT, such as 127.0.0.1:9564 or [::1]:9564, nor unix:PATH")
	}
	return &endpoint{"tcp", s}, nil
}
