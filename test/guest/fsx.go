// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"vhost-user-9p/test/fsx"
)

// fsxRun is the command "fsx".
type fsxRun struct {
	config fsx.Config
	maps   string
}

func (r *fsxRun) flags(f *flag.FlagSet) {
	f.Uint64Var(&r.config.Seed, "seed", 1, "seed")
	f.IntVar(&r.config.Ops, "ops", 0, "number of operations; 0: no limit")
	f.DurationVar(&r.config.Duration, "for", 0, "for how long; 0: no limit")
	f.StringVar(&r.maps, "map", "write", "mappings: none, read (only) or write")
	f.BoolVar(&r.config.NoLinks, "nolinks", false, "no hard links")
	f.BoolVar(&r.config.NoAppend, "noappend", false, "no O_APPEND")
	f.BoolVar(&r.config.Drop, "drop", false, "empty the kernel's caches now and then")
}

// run makes random operations in a new folder and writes to files beside it what that should
// hold then, or what failed.
func (r *fsxRun) run(dir string) error {
	switch r.maps {
	case "none":
		r.config.NoMapRead, r.config.NoMapWrite = true, true
	case "read":
		r.config.NoMapWrite = true
	case "write":
	default:
		return fmt.Errorf("fsx -map %s: it is none, read or write", r.maps)
	}
	if r.config.Ops == 0 && r.config.Duration == 0 {
		return fmt.Errorf("fsx needs -ops or -for, or it does not end")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	result, err := fsx.Run(fsx.Local{Dir: dir}, r.config)
	if err != nil {
		// Too long for where errors go.
		return errors.Join(err, os.WriteFile(dir+".failure", []byte(err.Error()), 0o644))
	}
	fmt.Printf("fsx: seed %d, %d operations, %d of them not supported\n", r.config.Seed, result.Ops, result.Refused)
	return os.WriteFile(dir+".state", []byte(result.State), 0o644)
}
