// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/doorbell"
	"vhost-user-9p/test/bench/report"
	"vhost-user-9p/test/rig"
	"vhost-user-9p/virtqueue/virtqtest"
)

// Floor is the program test/bench/floor as a Server.
type Floor struct {
	process *floorProcess
	loop    loop
	size    int // of each read or write

	// As a transport: how many requests were staged and are not published, how many
	// answers were taken, of how many slots.
	staged, taken, depth uint32
}

// floorProcess is the program, running.
type floorProcess struct {
	tb   testing.TB
	bell *doorbell.Doorbell
	pid  int
	in   io.Writer
	out  *bufio.Reader
}

func startFloor(tb testing.TB, program, dir string) *floorProcess {
	tb.Helper()
	fd := func(fd int, err error) *os.File {
		if err != nil {
			tb.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "floor")
		tb.Cleanup(func() { _ = f.Close() })
		return f
	}
	memory := fd(unix.MemfdCreate("floor", unix.MFD_CLOEXEC))
	if err := memory.Truncate(doorbell.Size); err != nil {
		tb.Fatal(err)
	}
	kick, call := fd(unix.Eventfd(0, unix.EFD_CLOEXEC)), fd(unix.Eventfd(0, unix.EFD_CLOEXEC))
	bell, err := doorbell.Map(int(memory.Fd()), int(kick.Fd()), int(call.Fd()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(bell.Close)
	cmd := exec.Command(program, dir)
	cmd.ExtraFiles = []*os.File{memory, kick, call}
	cmd.Stderr = os.Stderr
	// Nothing of Go's is to disturb the one thread: it allocates nothing while it serves.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOMAXPROCS=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	return &floorProcess{tb: tb, bell: bell, pid: rig.StartProcess(tb, cmd), in: in, out: bufio.NewReader(out)}
}

// tell tells the process what to do.
func (p *floorProcess) tell(what string, c cases.Case, depth int, more ...any) {
	p.tb.Helper()
	index := slices.IndexFunc(cases.All, func(other cases.Case) bool { return other.Name == c.Name })
	line := strings.TrimSpace(fmt.Sprintln(append([]any{what, index, depth}, more...)...))
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.tb.Fatalf("the floor: %v", err)
	}
}

// hear reads the process's answer.
func (p *floorProcess) hear(what string, numbers ...any) {
	p.tb.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.tb.Fatalf("the floor: %v", err)
	}
	text, ok := strings.CutPrefix(line, what)
	if ok {
		_, err = fmt.Sscan(text, numbers...)
	}
	if !ok || len(numbers) > 0 && err != nil {
		p.tb.Fatalf("the floor: %q instead of %q, %v", line, what, err)
	}
}

// NewFloor starts the program on a directory.
func NewFloor(tb testing.TB, program, dir string) *Floor {
	tb.Helper()
	f := &Floor{process: startFloor(tb, program, dir)}
	f.loop = loop{tb: tb, to: f, check: func(*message, uint32) bool { return true }}
	return f
}

// Pid implements Server.
func (f *Floor) Pid() int { return f.process.pid }

// Has implements Server. In the mixed case the one thread would hold up reads that no
// server needs to.
func (f *Floor) Has(c cases.Case) bool { return c.Kind != cases.Mixed }

// Prepare implements Server.
func (f *Floor) Prepare(c cases.Case, depth int) {
	p := f.process
	p.bell.Reset()
	f.size, f.depth, f.staged, f.taken = c.NinePSize(), uint32(depth), 0, 0
	p.tell("serve", c, depth)
	var n int
	p.hear("ready", &n)
	messages := make([]*message, n)
	for k := range messages {
		messages[k] = &message{name: c.Name}
	}
	slots := make([]slot, depth)
	for i := range slots {
		slots[i].messages = messages
	}
	f.loop.start(c, slots)
}

// Run implements Server.
func (f *Floor) Run(d time.Duration) report.Round {
	r := measured(f.process.tb, f.process.pid, func() report.Round { return f.loop.run(d, unlimited) })
	r.Bytes = r.Operations * int64(f.size)
	return r
}

// Finish implements Server.
func (f *Floor) Finish() {
	f.process.bell.Leave()
	f.process.hear("done")
}

func (f *Floor) stage(int, *message) { f.staged++ }

func (f *Floor) publish() {
	if f.staged > 0 {
		f.process.bell.Produce(f.staged)
		f.staged = 0
	}
}

func (f *Floor) reap(used []virtqtest.Used) int {
	n := min(int(f.process.bell.Consumed.Load()-f.taken), len(used))
	for i := range used[:n] {
		used[i].Head = uint16(f.taken % f.depth)
		f.taken++
	}
	return n
}

func (f *Floor) wait() { f.process.bell.WaitAnswer(f.taken) }

func (f *Floor) interrupt() {
	_, _ = unix.Write(f.process.bell.Call, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// PlainLoop is the same program, which makes the calls of streaming cases without being
// asked each time.
type PlainLoop struct {
	process *floorProcess
	c       cases.Case
	depth   int
}

// NewPlainLoop starts the program on a directory.
func NewPlainLoop(tb testing.TB, program, dir string) *PlainLoop {
	tb.Helper()
	return &PlainLoop{process: startFloor(tb, program, dir)}
}

// Pid implements Server.
func (l *PlainLoop) Pid() int { return l.process.pid }

// Has implements Server.
func (l *PlainLoop) Has(c cases.Case) bool { return c.Streams() }

// Prepare implements Server.
func (l *PlainLoop) Prepare(c cases.Case, depth int) { l.c, l.depth = c, depth }

// Run implements Server.
func (l *PlainLoop) Run(d time.Duration) report.Round {
	var r report.Round
	l.process.tell("loop", l.c, l.depth, d.Nanoseconds())
	l.process.hear("done", &r.Operations, (*int64)(&r.Elapsed), (*int64)(&r.CPU))
	r.Bytes = r.Operations * int64(l.c.NinePSize())
	return r
}

// Finish implements Server.
func (l *PlainLoop) Finish() {}
