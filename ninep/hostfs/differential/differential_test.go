// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/qidpath"
)

func TestMain(m *testing.M) {
	unix.Umask(0) // as the daemon does
	os.Exit(m.Run())
}

const (
	steps   = 400 // of one sequence, from an empty tree
	mirrors = 3   // at a time, each in its own directory of one session
)

// variants are ways to serve that a guest must not be able to tell from the host. Each gets
// an equal part of the time. The model mapped-file is not among them: it keeps owners and
// modes by name, and so cannot change those of a file without one.
var variants = []struct {
	name   string
	config hostfs.Config
}{
	{"passthrough", hostfs.Config{}},
	{"few descriptors", hostfs.Config{MaxDescriptors: 20}},
	{"mapped-xattr", hostfs.Config{Model: hostfs.MappedXattr}},
}

func TestDifferential(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { sequences(t, v.config) })
	}
}

// sequences runs sequences until its time is over.
func sequences(t *testing.T, cfg hostfs.Config) {
	limit := 4 * time.Second / time.Duration(len(variants))
	if s := os.Getenv("V9P_DIFFERENTIAL"); s != "" {
		var err error
		if limit, err = time.ParseDuration(s); err != nil {
			t.Fatalf("V9P_DIFFERENTIAL: %v", err)
		}
		limit /= time.Duration(len(variants))
	}
	seed, once := uint64(time.Now().UnixNano()), false
	if s := os.Getenv("V9P_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("V9P_SEED: %v", err)
		}
		once = true
	}
	began, count := time.Now(), 0
	for ; time.Since(began) < limit && !t.Failed(); seed++ {
		sequence(t, seed, cfg)
		if count++; once {
			break
		}
	}
	t.Logf("%d sequences of %d times %d operations, the last with the seed %d", count, mirrors, steps, seed-1)
}

// sequence serves an empty directory and has mirrors work in it at the same time.
func sequence(t *testing.T, seed uint64, cfg hostfs.Config) {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	served, host := filepath.Join(dir, "served"), filepath.Join(dir, "host")
	for i := range mirrors {
		for _, d := range []string{served, host} {
			if err := os.MkdirAll(filepath.Join(d, fmt.Sprint(i)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	root, err := os.Open(served)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	log := slog.New(slog.DiscardHandler)
	cfg.Root, cfg.QIDPaths, cfg.Logger = root, qidpath.New(qidpath.Config{Logger: log}), log
	fs, err := hostfs.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sess := ninep.NewSession(ninep.Config{Backend: fs, Logger: log})
	local := ninetest.NewLocal(sess, 0)
	defer func() {
		local.Close()
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
		if !t.Failed() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	}()
	c := ninetest.NewClient(local)
	if _, _, err := c.Version(64<<10, "9P2000.L"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Attach(1, uint32(os.Getuid()), ""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range mirrors {
		wg.Go(func() {
			sub := fmt.Sprint(i)
			if err := run(c, cfg.Model.Mapped(), rand.New(rand.NewPCG(seed, uint64(i))), sub, filepath.Join(served, sub), filepath.Join(host, sub)); err != nil {
				t.Errorf("V9P_SEED=%d: %v", seed, err)
			}
		})
	}
	wg.Wait()
}

func run(c *ninetest.Client, mapped bool, rng *rand.Rand, sub, served, host string) error {
	m := &mirror{c: c, rng: rng, mapped: mapped}
	fid, err := c.WalkTo(1, sub)
	if err != nil {
		return err
	}
	fd, err := unix.Open(host, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if _, err := m.add(fid, fd); err != nil {
		return err
	}
	defer func() {
		for _, p := range m.pairs {
			p.close()
		}
	}()
	for i := range steps {
		if err := operations[rng.IntN(len(operations))](m); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if i%50 == 49 || i == steps-1 {
			if err := m.compareTrees(served, host); err != nil {
				return fmt.Errorf("step %d: %w", i, err)
			}
		}
	}
	for len(m.pairs) > 0 {
		if err := m.drop(0); err != nil {
			return err
		}
	}
	return nil
}

// compareTrees compares what each side has made, as the host sees it.
func (m *mirror) compareTrees(served, host string) error {
	if !m.mapped { // models keep files in forms of their own
		got, err := tree(served)
		if err != nil {
			return err
		}
		want, err := tree(host)
		if err != nil {
			return err
		}
		if got != want {
			return m.differ("tree", "\n"+got, "\n"+want)
		}
	}
	for _, p := range m.pairs {
		if err := m.compare(p); err != nil {
			return err
		}
	}
	return nil
}
