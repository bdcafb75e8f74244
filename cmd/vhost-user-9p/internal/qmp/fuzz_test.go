// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzPeer lets QEMU send anything. The Watcher must get to the end of it, and then serve a
// QEMU in its right mind.
func FuzzPeer(f *testing.F) {
	// Those that are too large for testdata.
	f.Add([]byte(`{"QMP": ` + strings.Repeat("[", 20000) + "\n"))
	f.Add([]byte(greeting + answer + strings.Repeat("x", maxLine)))
	path := filepath.Join(f.TempDir(), "qmp")
	q := listen(f, path)
	w := &watched{t: f}
	var err error
	w.Watcher, err = Watch(path, Config{
		Event:    func(Event) {},
		Logger:   slog.New(slog.NewTextHandler(&w.log, nil)),
		MinDelay: time.Microsecond, MaxDelay: time.Microsecond,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(w.close)
	f.Fuzz(func(t *testing.T, sent []byte) {
		q.t, w.t = t, t
		w.log.reset()
		defer func() {
			if t.Failed() {
				t.Logf("log:\n%s", w.log.String())
			}
		}()
		mad := q.accept()
		go func() {
			_, _ = mad.Write(sent)
			_ = mad.CloseWrite()
		}()
		_, err := io.Copy(io.Discard, mad) // until the Watcher has hung up
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Fatal("the watcher does not hang up")
		}
		c := q.serve()
		before := w.Stats().Events[Stop]
		c.send(line("STOP"))
		w.eventually("the event has come", func(s Stats) bool { return s.Events[Stop] == before+1 })
		c.Close()
	})
}
