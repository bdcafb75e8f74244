// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
)

// QMP is a connection to a guest's QEMU.
type QMP struct {
	t       testing.TB
	monitor *qmp.SocketMonitor
	drained chan struct{}

	mu     sync.Mutex
	events map[string]int
}

// QMP connects to the guest's QEMU, once.
func (g *Guest) QMP() *QMP {
	g.t.Helper()
	if g.qmp != nil {
		return g.qmp
	}
	monitor, err := qmp.NewSocketMonitor("unix", g.path("qmp"), 10*time.Second)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := monitor.Connect(); err != nil {
		g.t.Fatal(err)
	}
	q := &QMP{t: g.t, monitor: monitor, drained: make(chan struct{}), events: map[string]int{}}
	// The package's only reader waits until an event is taken: somebody must
	// always take them.
	events, err := monitor.Events(context.Background())
	if err != nil {
		g.t.Fatal(err)
	}
	go func() {
		defer close(q.drained)
		for e := range events {
			q.mu.Lock()
			q.events[e.Event]++
			q.mu.Unlock()
		}
	}()
	g.qmp = q
	return q
}

func (q *QMP) close() {
	_ = q.monitor.Disconnect()
	<-q.drained
}

// Run runs a command without arguments and returns its result.
func (q *QMP) Run(command string) json.RawMessage {
	q.t.Helper()
	request, err := json.Marshal(qmp.Command{Execute: command})
	if err != nil {
		q.t.Fatal(err)
	}
	type answer struct {
		raw []byte
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		raw, err := q.monitor.Run(request)
		answers <- answer{raw, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			q.t.Fatalf("QMP %s: %v", command, a.err)
		}
		var response struct{ Return json.RawMessage }
		if err := json.Unmarshal(a.raw, &response); err != nil {
			q.t.Fatalf("QMP %s: %v", command, err)
		}
		return response.Return
	case <-time.After(30 * time.Second):
		q.t.Fatalf("QMP %s: no answer in 30 s", command)
		return nil
	}
}

// Events returns how many events of a name have come.
func (q *QMP) Events(name string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events[name]
}

// WaitEvents waits until so many events of a name have come.
func (q *QMP) WaitEvents(name string, n int) {
	q.t.Helper()
	Eventually(q.t, 30*time.Second, func() error {
		if got := q.Events(name); got < n {
			return fmt.Errorf("%d of %d events %s", got, n, name)
		}
		return nil
	})
}
