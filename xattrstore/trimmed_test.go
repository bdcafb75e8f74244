// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"slices"
	"testing"

	"github.com/pkg/xattr"
)

// A store that has seen the rest of an append goes on when a repair has removed it.
func TestTrimmedMeanwhile(t *testing.T) {
	dir := tmpfsDir(t)
	k := newElements(1, 3)
	mustAppend(t, openStore(t, dir, testConfig(t)), 0, k[:2]...)
	for s, entry := range map[series]int{elementSeries: elementSize, identitySeries: identitySize} {
		if err := xattr.Set(dir, s.chunk(1), make([]byte, entry)); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, dir, testConfig(t))
	if got := mustLoad(t, s); !slices.Equal(got, k[:2]) {
		t.Fatalf("loaded %v", got)
	}
	if done, err := Repair(openDir(t, dir), testConfig(t), ""); err != nil || len(done) != 1 {
		t.Fatalf("%q, %v", done, err)
	}
	mustAppend(t, s, 2, k[2])
	if got := mustLoad(t, openStore(t, dir, testConfig(t))); !slices.Equal(got, k) {
		t.Errorf("loaded %v, want %v", got, k)
	}
}
