// SPDX-License-Identifier: Apache-2.0

package qidpath

import "math/rand/v2"

// MaxNumbers is how many files a Table gives a number of the full map. They take
// half a gigabyte: what guests can have a daemon remember is bounded.
const MaxNumbers = 29_000_000

// With MaxNumbers spread over them by a hash, none of the parts grows beyond 1<<19
// slots of 16 bytes.
const numberShards = 64

// numbers is the full map in memory: the number of a file by its inode number
// and its file system's space. Goroutines use it as they use an index.
//
// It is in parts so that growing one takes no long pause, and no room for two
// copies of everything.
type numbers struct {
	seed   uint64
	shards [numberShards]index
}

func (m *numbers) reset() {
	m.seed = rand.Uint64()
	for i := range m.shards {
		m.shards[i].dense = true
		m.shards[i].reset()
	}
}

func (m *numbers) shard(ino uint64) *index {
	return &m.shards[(ino^m.seed)*0x9e3779b97f4a7c15>>58]
}

// get returns the number of the file, or 0.
func (m *numbers) get(space uint16, ino uint64) uint64 { return m.shard(ino).get(ino, space) }

// put adds the number of a file that has none.
func (m *numbers) put(space uint16, ino, n uint64) { m.shard(ino).put(ino, space, n) }
