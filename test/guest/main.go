// SPDX-License-Identifier: Apache-2.0

// Guest runs inside the test guests: it makes and describes directory trees, and tries
// what scripts cannot. It is linked statically (CGO_ENABLED=0), so that it runs in any
// guest, and on the host.
//
// usage: guest generate [-seed N] [-files N] [-big BYTES] [-seconds] DIR
//
//	guest manifest DIR
//	guest openfiles DIR
//	guest locks DIR
//	guest xattr [-n SIZE] FILE
//	guest inodes [-seed N] DIR
//	guest ids [-seed N] DIR
//	guest writers [-n N] DIR
//	guest verifywriters DIR
//	guest fsx [-seed N] [-ops N] [-for TIME] [-map none|read|write] [-nolinks] [-noappend] [-drop] DIR
//	guest stripes -id N -of N -for TIME FILE
//	guest verifystripes -of N FILE
//	guest counter -lock fcntl|ofd|flock -n N FILE
//	guest mail -id N -of N -n N DIR
//	guest verifymail -of N -n N DIR
//	guest look FILE
//	guest forge DIR
//	guest owners DIR
//	guest ownersacls DIR
//	guest changeowners DIR
//	guest changeacls DIR
//	guest describeowners DIR
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"time"

	"vhost-user-9p/test/tree"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

// command is one of the program's functions; dir is its only argument.
type command struct {
	flags func(*flag.FlagSet)
	run   func(dir string) error
}

func run(args []string) error {
	var spec tree.Spec
	var seed uint64
	var count int
	var random fsxRun
	var id, of int // this process among several
	var period time.Duration
	var lock string
	several := func(f *flag.FlagSet) {
		f.IntVar(&id, "id", 0, "number of this process, from 0")
		f.IntVar(&of, "of", 1, "how many processes there are")
		f.IntVar(&count, "n", 100, "how many each")
		f.DurationVar(&period, "for", 0, "for how long")
	}
	commands := map[string]command{
		"generate": {
			func(f *flag.FlagSet) {
				f.Uint64Var(&spec.Seed, "seed", 1, "seed")
				f.IntVar(&spec.Files, "files", 100, "entries")
				f.Int64Var(&spec.Big, "big", 0, "size of the big file")
				f.BoolVar(&spec.WholeSeconds, "seconds", false, "times of whole seconds from 1970 on")
			},
			func(dir string) error { return tree.Generate(dir, spec) },
		},
		"manifest": {nil, func(dir string) error {
			w := bufio.NewWriter(os.Stdout)
			if err := tree.Manifest(w, dir); err != nil {
				return err
			}
			return w.Flush()
		}},
		"openfiles": {nil, openFiles},
		"locks":     {nil, locks},
		"lockchild": {nil, lockChild},
		"xattr": {
			func(f *flag.FlagSet) { f.IntVar(&count, "n", 1, "size of the value") },
			func(file string) error { return xattr(file, count) },
		},
		"inodes": {
			func(f *flag.FlagSet) { f.Uint64Var(&seed, "seed", 0, "order of the visit; 0: sorted") },
			func(dir string) error { return inodes(dir, seed) },
		},
		"ids": {
			func(f *flag.FlagSet) { f.Uint64Var(&seed, "seed", 0, "order of the visit") },
			func(dir string) error { return ids(dir, seed) },
		},
		"writers": {
			func(f *flag.FlagSet) { f.IntVar(&count, "n", 4, "how many") },
			func(dir string) error { return writers(dir, count) },
		},
		"verifywriters": {nil, verifyWriters},
		"fsx":           {random.flags, random.run},
		"stripes":       {several, func(file string) error { return stripes(file, id, of, period) }},
		"verifystripes": {several, func(file string) error { return verifyStripes(file, of) }},
		"counter": {
			func(f *flag.FlagSet) {
				f.IntVar(&count, "n", 100, "how often")
				f.StringVar(&lock, "lock", "fcntl", "kind of lock: fcntl, ofd or flock")
			},
			func(file string) error { return counter(file, lock, count) },
		},
		"mail":           {several, func(dir string) error { return mail(dir, id, of, count) }},
		"verifymail":     {several, func(dir string) error { return verifyMail(dir, of, count) }},
		"look":           {nil, look},
		"forge":          {nil, forge},
		"owners":         {nil, owners},
		"ownersacls":     {nil, ownersACLs},
		"changeacls":     {nil, changeOwnersACLs},
		"ownersfiles":    {nil, ownersFiles},
		"changeowners":   {nil, changeOwners},
		"describeowners": {nil, describeOwners},
	}
	if len(args) == 0 {
		return fmt.Errorf("no command")
	}
	c, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("no such command: %s", args[0])
	}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	if c.flags != nil {
		c.flags(f)
	}
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return fmt.Errorf("%s takes one name", args[0])
	}
	return c.run(f.Arg(0))
}

// checks prints a line for each check, and counts.
type checks struct {
	done, failed int
}

func (c *checks) check(name string, f func() error) {
	c.done++
	began := time.Now()
	if err := f(); err != nil {
		c.failed++
		fmt.Printf("FAIL %s: %v\n", name, err)
		return
	}
	slow := ""
	if d := time.Since(began); d > time.Second {
		slow = fmt.Sprintf(" (%.1f s)", d.Seconds())
	}
	fmt.Printf("ok   %s%s\n", name, slow)
}

func (c *checks) err() error {
	fmt.Printf("%d checks, %d failed\n", c.done, c.failed)
	if c.failed > 0 {
		return fmt.Errorf("%d of %d checks failed", c.failed, c.done)
	}
	return nil
}
