// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

// ordersScript makes a guest carry out orders, one after the other in one shell, which
// come as files on the share.
const ordersScript = `
set +eux
w() { until [ -e "$1" ]; do sleep 0.02; done; }
for n in $(seq 10000); do
	w .orders/$1/$n.in
	eval "$(cat .orders/$1/$n.in)" >.orders/$1/$n.out 2>&1
	echo $? >.orders/$1/$n.tmp
	mv .orders/$1/$n.tmp .orders/$1/$n.status
done
`

// orders is a guest that carries out orders.
type orders struct {
	*rig.Guest
	t      *testing.T
	export string
	dir    string
	n      int
}

// orderGuest starts a guest, which must have a name of its own among those that share.
func orderGuest(t *testing.T, vehicle rig.Vehicle, name string, d *rig.Daemon, c rig.GuestConfig) *orders {
	t.Helper()
	o := &orders{t: t, export: d.Export, dir: filepath.Join(d.Export, ".orders", name)}
	if err := os.MkdirAll(o.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	c.Script = fmt.Sprintf("set -- %s\n", name) + ordersScript
	o.Guest = vehicle(t, d, c)
	return o
}

// start gives an order and returns what waits for its end, and then returns its
// output, without the last newline, and its status.
func (o *orders) start(format string, args ...any) func() (string, int) {
	o.t.Helper()
	o.n++
	n, order := o.n, fmt.Sprintf(format, args...)
	path := filepath.Join(o.dir, fmt.Sprint(n))
	write(o.t, order, path+".new")
	if err := os.Rename(path+".new", path+".in"); err != nil {
		o.t.Fatal(err)
	}
	return func() (string, int) {
		o.t.Helper()
		status := 0
		rig.Eventually(o.t, time.Minute, func() error {
			content, err := os.ReadFile(path + ".status")
			if err == nil {
				_, err = fmt.Sscan(string(content), &status)
			}
			if err != nil {
				return fmt.Errorf("%q has not ended: %w", order, err)
			}
			return nil
		})
		return strings.TrimSuffix(read(o.t, path+".out"), "\n"), status
	}
}

// try gives an order and returns its status.
func (o *orders) try(format string, args ...any) int {
	o.t.Helper()
	_, status := o.start(format, args...)()
	return status
}

// do gives an order that must succeed and returns its output.
func (o *orders) do(format string, args ...any) string {
	o.t.Helper()
	out, status := o.start(format, args...)()
	if status != 0 {
		o.t.Fatalf("%q ended with %d:\n%s", fmt.Sprintf(format, args...), status, out)
	}
	return out
}
