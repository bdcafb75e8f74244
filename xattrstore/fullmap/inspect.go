// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// maxCounted is how many identities a Summary tells apart.
const maxCounted = 1 << 16

// Summary is what is in a full map.
type Summary struct {
	Bytes   int64
	Records uint64 // valid ones
	Damaged uint64 // damaged ones that have a valid one behind them
	Torn    int64  // bytes behind the last valid record
	Highest uint64 // the highest number

	// PerFS counts the valid records of each file system; Others those of the
	// file systems that were seen after the first 65536.
	PerFS  map[qidpath.Identity]uint64
	Others uint64

	// HeaderErr is ErrHeader if the header is damaged and the records are not.
	HeaderErr error
}

// Inspect reads the full map that Open with the same dir and name would use. It
// takes no lock and changes nothing: what is appended at the time may be missing,
// or be torn. It returns an error that is fs.ErrNotExist if there is none.
func Inspect(dir *os.File, name string) (Summary, error) {
	s, err := inspect(dir, fileName(name))
	return s, failure("inspect", err)
}

func inspect(dir *os.File, name string) (Summary, error) {
	f, err := openAt(dir, name, os.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return Summary{}, err
	}
	defer f.Close()
	st, err := f.stat()
	switch {
	case err != nil:
		return Summary{}, err
	case !st.regular:
		return Summary{}, fmt.Errorf("%w: not a regular file", ErrForeign)
	case st.size > maxSize:
		return Summary{}, fmt.Errorf("%w: %d bytes", ErrTooLong, st.size)
	}
	s := Summary{Bytes: st.size, PerFS: make(map[qidpath.Identity]uint64)}
	var c content
	err = c.read(f, st.size, false, func(file qidpath.File, _ uint64) {
		if _, ok := s.PerFS[file.FS]; !ok && len(s.PerFS) == maxCounted {
			s.Others++
			return
		}
		s.PerFS[file.FS]++
	})
	if err != nil {
		return Summary{}, err
	}
	s.Records, s.Damaged, s.Highest, s.HeaderErr = c.records, c.damaged, c.highest, c.headerErr
	s.Torn = st.size - c.end
	return s, nil
}
