// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// qidTable is where the export's root has the first part of the table of file IDs.
const qidTable = "user.virtfs.system.qidp.0"

// spoilTable puts a table in place of share's that must be left alone, because it is of a
// version to come.
func spoilTable(t testing.TB, share string) {
	t.Helper()
	if err := unix.Setxattr(share, qidTable, []byte{9, 0, 0, 0, 0, 0, 0, 0}, 0); err != nil {
		t.Skipf("needs user extended attributes in the temporary directory: %v", err)
	}
}

// TestServe goes through the whole daemon, in this process.
func TestServe(t *testing.T) {
	defer unix.Umask(unix.Umask(0o22)) // as most daemons are started
	dir := t.TempDir()
	socket, share := filepath.Join(dir, "s"), filepath.Join(dir, "share")
	if err := os.Mkdir(share, 0o751); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var log output
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--socket-path", socket, "--shared-dir", share, "--tag=share", "--log-format=json"}, io.Discard, &log)
	}()
	waitForFile(t, socket)

	g := connect(t, socket)
	if _, err := unix.Getxattr(share, qidTable, nil); !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("a table was stored before any guest has seen an ID: %v", err)
	}
	config, err := g.GetConfig(0, 7)
	if err != nil || string(config) != "\x05\x00share" {
		t.Errorf("config %q, %v", config, err)
	}
	qid := g.mount()
	if qid.Type != ninep.QTDir {
		t.Errorf("the root's QID: %+v", qid)
	}
	attr, err := g.Getattr(rootFID, ninep.AttrBasic)
	st := stat(t, share)
	if err != nil || attr.Mode != st.Mode || attr.UID != st.Uid || attr.NLink != st.Nlink || attr.QID != qid {
		t.Errorf("attributes of the root: %+v, %v; on the host: %+v", attr, err, st)
	}
	fid, err := g.WalkTo(rootFID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Lcreate(fid, "file", unix.O_RDWR, 0o666, 0); err != nil {
		t.Fatal(err)
	}
	if err := g.WriteAll(fid, 0, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(share, "file")); err != nil || string(b) != "hello" {
		t.Errorf("on the host: %q, %v", b, err)
	}
	if mode := stat(t, filepath.Join(share, "file")).Mode; mode != unix.S_IFREG|0o666 {
		t.Errorf("its mode: %#o: the daemon's umask is not 0", mode)
	}
	// What the guest saw is durable before the session ends.
	if n, err := unix.Getxattr(share, qidTable, nil); err != nil || n < 18 {
		t.Errorf("the stored table has %d bytes, %v", n, err)
	}

	cancel()
	if status := <-ended; status != exitOK {
		t.Errorf("exit status %d", status)
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is still there")
	}
	for line := range strings.Lines(log.String()) {
		if !json.Valid([]byte(line)) || strings.Contains(line, `"ERROR"`) {
			t.Errorf("log: %s", line)
		}
	}
}

// TestFrontEndsOneAfterTheOther: a guest is shut down and started again, and finds its files
// with the same IDs, also in a new daemon.
func TestFrontEndsOneAfterTheOther(t *testing.T) {
	p := startDaemon(t)
	g := connect(t, p.socket)
	first := g.mount()
	g.Close()
	// QEMU's way of starting a guest while the one before is being wound up.
	g = connect(t, p.socket)
	if again := g.mount(); again != first {
		t.Errorf("in the second session: %+v, before %+v", again, first)
	}
	p.signal(unix.SIGTERM)
	if status := p.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	p = startDaemonAt(t, p.socket, p.share)
	if again := connect(t, p.socket).mount(); again.Path != first.Path {
		t.Errorf("of the second daemon: %+v, before %+v", again, first)
	}
}

// TestTableIsFlushed: whenever a guest is stopped or gone, the table is whole on the host, even
// if somebody has removed it meanwhile.
func TestTableIsFlushed(t *testing.T) {
	for name, when := range map[string]func(t *testing.T, p *process, g *guest){
		"stopped":      func(t *testing.T, _ *process, g *guest) { stop(t, g) },
		"unplugged":    func(t *testing.T, p *process, g *guest) { stop(t, g); removeTable(t, p.share); g.CloseChannel() },
		"disconnected": func(_ *testing.T, _ *process, g *guest) { g.Close() },
		"signal":       func(_ *testing.T, p *process, _ *guest) { p.signal(unix.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			p := startDaemon(t)
			g := connect(t, p.socket)
			g.mount()
			before := make([]byte, 100)
			n, err := unix.Getxattr(p.share, qidTable, before)
			if err != nil {
				t.Fatal(err)
			}
			removeTable(t, p.share)
			when(t, p, g)
			eventually(t, func() error {
				after := make([]byte, 100)
				m, err := unix.Getxattr(p.share, qidTable, after)
				if err == nil && !bytes.Equal(before[:n], after[:m]) {
					t.Fatalf("before %x, after %x", before[:n], after[:m])
				}
				return err
			})
		})
	}
}

func removeTable(t *testing.T, share string) {
	t.Helper()
	if err := unix.Removexattr(share, qidTable); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnly(t *testing.T) {
	p := startDaemon(t, "--readonly")
	g := connect(t, p.socket)
	g.mount()
	if _, err := g.Mkdir(rootFID, "d", 0o777, 0); !errors.Is(err, unix.EROFS) {
		t.Errorf("mkdir: %v", err)
	}
	if _, err := g.Getattr(rootFID, ninep.AttrBasic); err != nil {
		t.Errorf("getattr: %v", err)
	}
	if n, err := unix.Listxattr(p.share, nil); err != nil || n != 0 {
		t.Errorf("something was stored: %d bytes of names, %v", n, err)
	}
}

func TestMaxMsize(t *testing.T) {
	p := startDaemon(t, "--max-msize=16K")
	if msize, _, err := connect(t, p.socket).Version(512000, "9P2000.L"); err != nil || msize != 16384 {
		t.Errorf("msize %d, %v", msize, err)
	}
}

func TestNofile(t *testing.T) {
	p := startDaemon(t, "--rlimit-nofile=200")
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "limits"))
	if err != nil || !bytes.Contains(b, []byte("Max open files            200 ")) {
		t.Errorf("%v\n%s", err, b)
	}
	if strings.Contains(p.log.String(), "level=WARN") {
		t.Error("a warning of what was asked for")
	}
}

func TestLowDefaultOfNofile(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	p := startDaemon(t)
	if warned := strings.Contains(p.log.String(), "the limit of open files is low"); warned != (limit.Max < fewFiles) {
		t.Errorf("a hard limit of %d: warned %v", limit.Max, warned)
	}
}

// TestFileSizeLimit: a guest that writes more than the daemon may gets an error; the signal that
// comes with it does not end the daemon.
func TestFileSizeLimit(t *testing.T) {
	p := startDaemon(t)
	limit := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	g := connect(t, p.socket)
	g.mount()
	fid, err := g.WalkTo(rootFID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Lcreate(fid, "file", unix.O_RDWR, 0o666, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Write(fid, 1<<20, []byte("x")); !errors.Is(err, unix.EFBIG) {
		t.Errorf("write beyond the limit: %v, want EFBIG", err)
	}
	if _, err := g.Write(fid, 1<<20-1, []byte("x")); err != nil {
		t.Errorf("write up to the limit: %v", err)
	}
}
