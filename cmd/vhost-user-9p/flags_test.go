// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/throttle"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
)

func TestBadCommandLines(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := "--socket-path=" + filepath.Join(dir, "socket")
	share := "--shared-dir=" + dir
	tag := "--tag=share"
	good := []string{socket, share, tag}
	with := func(more ...string) []string { return append(slices.Clone(good), more...) }
	limit := func(n int) string { return strings.Repeat("x", n) }

	for name, c := range map[string]struct {
		args   []string
		status int
		say    string // a regular expression that standard error matches
	}{
		"nothing":                    {nil, exitUsage, `--socket-path PATH or --fd N`},
		"no socket":                  {[]string{share, tag}, exitUsage, `--socket-path PATH or --fd N`},
		"two sockets":                {with("--fd=3"), exitUsage, `--socket-path and --fd exclude each other`},
		"no directory":               {[]string{socket, tag}, exitUsage, `--shared-dir DIR is needed`},
		"no tag":                     {[]string{socket, share}, exitUsage, `--tag TAG is needed`},
		"argument":                   {with("/srv"), exitUsage, `unexpected argument "/srv"`},
		"unknown flag":               {with("--cache=auto"), exitUsage, `no such flag: --cache`},
		"single dash":                {with("-o", "ro"), exitUsage, `no such flag: --o`},
		"no value":                   {with("--tag"), exitUsage, `--tag needs a value`},
		"empty socket path":          {[]string{"--socket-path=", share, tag}, exitUsage, `--socket-path "" is empty`},
		"long socket path":           {[]string{"--socket-path=/" + limit(107), share, tag}, exitUsage, `--socket-path .* has 108 bytes, the path of a socket has at most 107`},
		"socket path is a directory": {[]string{"--socket-path=/tmp/", share, tag}, exitUsage, `--socket-path "/tmp/" ends with a slash`},
		"socket in no directory":     {[]string{"--socket-path=" + dir + "/x/y", share, tag}, exitFailure, `--socket-path ".*/x/y": its directory: no such file or directory`},
		"fd of letters":              {[]string{"--fd=three", share, tag}, exitUsage, `--fd "three" is not a file descriptor`},
		"negative fd":                {[]string{"--fd=-1", share, tag}, exitUsage, `--fd "-1" is not a file descriptor`},
		"huge fd":                    {[]string{"--fd=99999999999", share, tag}, exitUsage, `--fd "99999999999" is not a file descriptor`},
		"fd of an output":            {[]string{"--fd=2", share, tag}, exitUsage, `--fd "2" is an output`},
		"fd not open":                {[]string{"--fd=12345", share, tag}, exitFailure, `--fd 12345 is not open`},
		"group without a socket":     {[]string{"--fd=3", share, tag, "--socket-group=0"}, exitUsage, `--socket-group is for a socket that the daemon makes`},
		"empty group":                {with("--socket-group="), exitUsage, `--socket-group "" is empty`},
		"unknown group":              {with("--socket-group=no such group"), exitFailure, `--socket-group "no such group": no such group`},
		"empty directory":            {[]string{socket, "--shared-dir=", tag}, exitUsage, `--shared-dir "" is empty`},
		"directory is not there":     {[]string{socket, share + "/x", tag}, exitFailure, `--shared-dir ".*/x": no such directory`},
		"directory is a file":        {[]string{socket, "--shared-dir=" + file, tag}, exitFailure, `--shared-dir ".*/file": not a directory`},
		"empty tag":                  {[]string{socket, share, "--tag="}, exitUsage, `--tag "" has 0 bytes, a mount tag has 1 to 254`},
		"long tag":                   {[]string{socket, share, "--tag=" + limit(255)}, exitUsage, `--tag ".*" has 255 bytes, a mount tag has 1 to 254`},
		"tag of two lines":           {[]string{socket, share, "--tag=a\nb"}, exitUsage, `--tag "a\\nb" has a control character`},
		"readonly":                   {with("--readonly=perhaps"), exitUsage, `--readonly "perhaps" is neither true nor false`},
		"readonly with a space":      {with("--readonly", "true"), exitUsage, `unexpected argument "true"`},
		"statfs type of letters":     {with("--statfs-type=reiserfs"), exitUsage, `--statfs-type "reiserfs" is no type of file system, needed is host, one of bcachefs, .*zfs, or a number`},
		"no statfs type":             {with("--statfs-type="), exitUsage, `--statfs-type "" is no type`},
		"statfs type 0":              {with("--statfs-type=0x0"), exitUsage, `--statfs-type "0x0" is no type`},
		"statfs type of 33 bits":     {with("--statfs-type=0x100000000"), exitUsage, `--statfs-type "0x100000000" is no type`},
		"decimal statfs type":        {with("--statfs-type=61267"), exitUsage, `--statfs-type "61267" is no type`},
		"security model":             {with("--security-model=strict"), exitUsage, `--security-model "strict" is not one of passthrough, mapped-xattr`},
		"limit of letters":           {with("--throttle-bps-total=much"), exitUsage, `--throttle-bps-total "much" is not a number of bytes`},
		"limit of half a request":    {with("--throttle-iops-read=0.5"), exitUsage, `--throttle-iops-read "0.5" is not a number up to`},
		"limits that exclude":        {with("--throttle-bps-total=1", "--throttle-bps-read=1"), exitUsage, `--throttle-bps-total and bps-read exclude each other`},
		"burst below the limit":      {with("--throttle-iops-write=2", "--throttle-iops-write-max=1"), exitUsage, `--throttle-iops-write-max, 1, is below iops-write, 2`},
		"burst without a limit":      {with("--throttle-bps-write-max=1"), exitUsage, `--throttle-bps-write-max is for bursts above`},
		"burst of no time":           {with("--throttle-bps-write-max-length=0"), exitUsage, `--throttle-bps-write-max-length "0" is no length`},
		"size without a limit":       {with("--throttle-iops-size=4K"), exitUsage, `--throttle-iops-size says`},
		"limits twice":               {with("--throttle-file=/f", "--throttle-bps-total=0"), exitUsage, `--throttle-file has all limits`},
		"no throttle file":           {with("--throttle-file="), exitUsage, `--throttle-file "" is empty`},
		"multidevs":                  {with("--multidevs=allow"), exitUsage, `--multidevs "allow" is not one of remap, forbid, warn`},
		"no multidevs":               {with("--multidevs="), exitUsage, `--multidevs "" is not one of`},
		"no monitor":                 {with("--qmp="), exitUsage, `--qmp "" is empty, needed is the path of a socket`},
		"long path of a monitor":     {with("--qmp=" + limit(108)), exitUsage, `--qmp ".*" has 108 bytes`},
		"folder of a monitor":        {with("--qmp=/none/qmp"), exitFailure, `--qmp "/none/qmp": its folder: open /none: no such file`},
		"qid store":                  {with("--qid-store=disk"), exitUsage, `--qid-store "disk" is not one of auto, xattr, file, none`},
		"no qid store":               {with("--qid-store="), exitUsage, `--qid-store "" is not one of`},
		"qid layout":                 {with("--qid-layout=Suffix"), exitUsage, `--qid-layout "Suffix" is not one of prefix, suffix`},
		"layout of inode numbers":    {with("--qid-layout=suffix", "--multidevs=warn"), exitUsage, `--qid-layout suffix is for --multidevs remap: with warn,`},
		"no state directory":         {with("--state-dir="), exitUsage, `--state-dir "" is empty`},
		"state that is not stored":   {with("--state-dir=/s", "--qid-store=none"), exitUsage, `--state-dir is for a table of file IDs that is stored`},
		"state in the share":         {with("--state-dir=" + dir + "/deep/down"), exitFailure, `--state-dir ".*/deep/down" is in the shared directory`},
		"state is the share":         {with("--state-dir=" + dir), exitFailure, `--state-dir ".*" is in the shared directory`},
		"state directory is a file":  {with("--state-dir=" + file), exitFailure, `--state-dir ".*/file": not a directory`},
		"state directory below one":  {with("--state-dir=" + file + "/state"), exitFailure, `--state-dir ".*/file/state": not a directory`},
		"writeout":                   {with("--writeout=later"), exitUsage, `--writeout "later" is not immediate`},
		"no writeout":                {with("--writeout="), exitUsage, `--writeout "" is not immediate`},
		"no security model":          {with("--security-model="), exitUsage, `--security-model "" is not one of`},
		"fmode of a digit 8":         {with("--security-model=mapped", "--fmode=0680"), exitUsage, `--fmode "0680" is not a mode in octal from 0001 to 0777`},
		"fmode with set-id bits":     {with("--security-model=mapped", "--fmode=4644"), exitUsage, `--fmode "4644" is not a mode`},
		"fmode of nothing":           {with("--security-model=mapped", "--fmode=0"), exitUsage, `--fmode "0" is not a mode`},
		"dmode of letters":           {with("--security-model=mapped", "--dmode=rwx"), exitUsage, `--dmode "rwx" is not a mode`},
		"fmode of the host":          {with("--security-model=passthrough", "--fmode=0644"), exitUsage, `--fmode is not for --security-model passthrough`},
		"dmode of the host":          {with("--dmode=0755", "--security-model=none"), exitUsage, `--dmode is not for --security-model none`},
		"mapped twice":               {with("--security-model=mapped", "--map-gid=0:1:1"), exitUsage, `--map-gid is not for --security-model mapped-xattr`},
		"mapped and squashed":        {with("--squash-uid=0", "--security-model=mapped-xattr"), exitUsage, `--squash-uid is not for --security-model mapped-xattr`},
		"msize of letters":           {with("--max-msize=large"), exitUsage, `--max-msize "large" is not a size in bytes from 4096 to 16777216`},
		"msize below 4096":           {with("--max-msize=4095"), exitUsage, `--max-msize "4095" is not a size`},
		"msize above 16M":            {with("--max-msize=17M"), exitUsage, `--max-msize "17M" is not a size`},
		"msize that overflows":       {with("--max-msize=99999999999999999999"), exitUsage, `--max-msize "99999999999999999999" is not a size`},
		"msize whose unit does":      {with("--max-msize=18446744073709551615M"), exitUsage, `--max-msize "18446744073709551615M" is not a size`},
		"msize in gigabytes":         {with("--max-msize=1G"), exitUsage, `--max-msize "1G" is not a size`},
		"msize with a fraction":      {with("--max-msize=1.5M"), exitUsage, `--max-msize "1.5M" is not a size`},
		"negative msize":             {with("--max-msize=-4096"), exitUsage, `--max-msize "-4096" is not a size`},
		"unit alone":                 {with("--max-msize=M"), exitUsage, `--max-msize "M" is not a size`},
		"threads of letters":         {with("--threads=all"), exitUsage, `--threads "all" is not a number of threads`},
		"negative threads":           {with("--threads=-1"), exitUsage, `--threads "-1" is not a number of threads`},
		"poll too long":              {with("--poll-us=1001"), exitUsage, `--poll-us "1001" is not a time in microseconds from 0 to 1000`},
		"poll with a unit":           {with("--poll-us=5ms"), exitUsage, `--poll-us "5ms" is not a time in microseconds`},
		"no cpus":                    {with("--cpus="), exitUsage, `--cpus "" is not a list of processors, needed are numbers from 0 to 1023 such as 0-3,8`},
		"cpus backwards":             {with("--cpus=3-1"), exitUsage, `--cpus "3-1" is not a list of processors`},
		"cpus without an end":        {with("--cpus=3-"), exitUsage, `--cpus "3-" is not a list of processors`},
		"cpu out of range":           {with("--cpus=1024"), exitUsage, `--cpus "1024" is not a list of processors`},
		"negative cpu":               {with("--cpus=-1"), exitUsage, `--cpus "-1" is not a list of processors`},
		"node by name":               {with("--numa-node=first"), exitUsage, `--numa-node "first" is not the number of a NUMA node`},
		"cpus and a node":            {with("--cpus=0", "--numa-node=0"), exitUsage, `--cpus and --numa-node exclude each other`},
		"too many threads":           {with("--threads=257"), exitUsage, `--threads "257" is not a number of threads, needed is 0 .* to 256`},
		"nofile of letters":          {with("--rlimit-nofile=max"), exitUsage, `--rlimit-nofile "max" is not a number of open files`},
		"low nofile":                 {with("--rlimit-nofile=127"), exitUsage, `--rlimit-nofile "127" .* from 128 on`},
		"nofile beyond nr_open":      {with("--rlimit-nofile=18446744073709551614"), exitFailure, `--rlimit-nofile 18446744073709551614: operation not permitted`},
		"log level":                  {with("--log-level=loud"), exitUsage, `--log-level "loud" is not one of debug, info, warn, error`},
		"log format":                 {with("--log-format=xml"), exitUsage, `--log-format "xml" is neither text nor json`},
		"metrics without a port":     {with("--metrics-listen=localhost"), exitUsage, `--metrics-listen "localhost" is neither ADDR:PORT.* nor unix:PATH`},
		"metrics port of letters":    {with("--metrics-listen=localhost:http"), exitUsage, `--metrics-listen "localhost:http" is neither`},
		"metrics port too large":     {with("--metrics-listen=localhost:65536"), exitUsage, `--metrics-listen "localhost:65536" is neither`},
		"metrics path empty":         {with("--metrics-listen=unix:"), exitUsage, `--metrics-listen "unix:" is empty, needed is the path`},
		"metrics path too long":      {with("--metrics-listen=unix:" + limit(108)), exitUsage, `--metrics-listen .* has 108 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			got := runArgs(t, c.args...)
			if got.status != c.status {
				t.Errorf("exit status %d, want %d", got.status, c.status)
			}
			if !regexp.MustCompile(`(?s)^vhost-user-9p: .*` + c.say).MatchString(got.stderr) {
				t.Errorf("standard error does not match %q:\n%s", c.say, got.stderr)
			}
			if c.status == exitUsage && !strings.Contains(got.stderr, "--help") {
				t.Errorf("standard error does not point to --help:\n%s", got.stderr)
			}
			if got.stdout != "" {
				t.Errorf("standard output: %q", got.stdout)
			}
			for _, made := range []string{"socket", "deep"} {
				if _, err := os.Lstat(filepath.Join(dir, made)); err == nil {
					t.Errorf("%s was left behind", made)
				}
			}
		})
	}
}

func TestGoodValues(t *testing.T) {
	needed := []string{"--socket-path", "/s", "--shared-dir", "/d", "--tag", "share"}
	defaults := options{
		socketPath: "/s", fd: -1, node: -1, poll: 50 * time.Microsecond, sharedDir: "/d", tag: "share",
		maxMsize: 1 << 20, logLevel: slog.LevelInfo, logFormat: "text",
	}
	for name, c := range map[string]struct {
		args []string
		want func(o *options)
	}{
		"defaults":           {nil, func(*options) {}},
		"equals sign":        {[]string{"--tag=a=b"}, func(o *options) { o.tag = "a=b" }},
		"single dash":        {[]string{"-tag", "t"}, func(o *options) { o.tag = "t" }},
		"the last one holds": {[]string{"--tag=a", "--tag=b"}, func(o *options) { o.tag = "b" }},
		"longest tag":        {[]string{"--tag=" + strings.Repeat("t", 254)}, func(o *options) { o.tag = strings.Repeat("t", 254) }},
		"readonly":           {[]string{"--readonly"}, func(o *options) { o.readOnly = true }},
		"not readonly":       {[]string{"--readonly", "--readonly=false"}, func(*options) {}},
		"security model":     {[]string{"--security-model=none"}, func(o *options) { o.model, o.modelSet = hostfs.None, true }},
		"mapped":             {[]string{"--security-model=mapped"}, func(o *options) { o.model, o.modelSet = hostfs.MappedXattr, true }},
		"mapped-file":        {[]string{"--security-model=mapped-file"}, func(o *options) { o.model, o.modelSet = hostfs.MappedFile, true }},
		"mapped-xattr": {[]string{"--security-model=mapped-xattr", "--fmode=0640", "--dmode=750"}, func(o *options) {
			o.model, o.modelSet, o.fileMode, o.dirMode = hostfs.MappedXattr, true, 0o640, 0o750
		}},
		"passthrough": {[]string{"--security-model=none", "--security-model=passthrough"}, func(o *options) { o.modelSet = true }},
		"limits": {[]string{"--throttle-bps-total=10M", "--throttle-bps-total-max=1g", "--throttle-bps-total-max-length=3", "--throttle-iops-write=5", "--throttle-iops-size=1K"}, func(o *options) {
			o.limited, o.limits.IOPSSize = true, 1024
			o.limits.BPS[throttle.Total] = throttle.Rate{Avg: 10 << 20, Max: 1 << 30, Length: 3}
			o.limits.IOPS[throttle.Write] = throttle.Rate{Avg: 5}
		}},
		"throttle file":          {[]string{"--throttle-file=limits"}, func(o *options) { o.limitsFile = "limits" }},
		"multidevs":              {[]string{"--multidevs=forbid"}, func(o *options) { o.multiDevs = hostfs.Forbid }},
		"multidevs warn":         {[]string{"--multidevs=remap", "--multidevs=warn"}, func(o *options) { o.multiDevs = hostfs.Warn }},
		"monitor":                {[]string{"--qmp=/run/qmp"}, func(o *options) { o.qmp = "/run/qmp" }},
		"no qid store":           {[]string{"--qid-store=none"}, func(o *options) { o.qidForget = true }},
		"qid store":              {[]string{"--qid-store=none", "--qid-store=file"}, func(o *options) { o.qidStore = xattrstore.ModeFile }},
		"qid layout":             {[]string{"--qid-layout=suffix"}, func(o *options) { o.qidLayout = qidpath.Suffix }},
		"state directory":        {[]string{"--state-dir=state"}, func(o *options) { o.stateDir = "state" }},
		"writeout":               {[]string{"--writeout=immediate"}, func(o *options) { o.writeOut = true }},
		"statfs type":            {[]string{"--statfs-type=v9fs"}, func(o *options) { o.fsType = 0x01021997 }},
		"statfs type by number":  {[]string{"--statfs-type=0XFFFFFFFF"}, func(o *options) { o.fsType = 0xffffffff }},
		"the host's statfs type": {[]string{"--statfs-type=ext4", "--statfs-type=host"}, func(*options) {}},
		"smallest msize":         {[]string{"--max-msize=4096"}, func(o *options) { o.maxMsize = 4096 }},
		"msize with a unit":      {[]string{"--max-msize=512k"}, func(o *options) { o.maxMsize = 512 << 10 }},
		"largest msize":          {[]string{"--max-msize=16M"}, func(o *options) { o.maxMsize = 16 << 20 }},
		"threads":                {[]string{"--threads=3"}, func(o *options) { o.threads = 3 }},
		"packed":                 {[]string{"--packed"}, func(o *options) { o.packed = true }},
		"no poll":                {[]string{"--poll-us=0"}, func(o *options) { o.poll = 0 }},
		"poll":                   {[]string{"--poll-us=1000"}, func(o *options) { o.poll = time.Millisecond }},
		"cpus":                   {[]string{"--cpus=0-2,1,7"}, func(o *options) { o.cpus = cpus(0, 1, 2, 7) }},
		"last cpu":               {[]string{"--cpus=1023"}, func(o *options) { o.cpus = cpus(1023) }},
		"numa node":              {[]string{"--numa-node=0"}, func(o *options) { o.node = 0 }},
		"nofile":                 {[]string{"--rlimit-nofile=4096"}, func(o *options) { o.nofile = 4096 }},
		"group":                  {[]string{"--socket-group=kvm"}, func(o *options) { o.group = "kvm" }},
		"log":                    {[]string{"--log-level=debug", "--log-format=json"}, func(o *options) { o.logLevel, o.logFormat = slog.LevelDebug, "json" }},
		"metrics by TCP":         {[]string{"--metrics-listen=[::1]:9564"}, func(o *options) { o.metrics = &endpoint{"tcp", "[::1]:9564"} }},
		"metrics by socket":      {[]string{"--metrics-listen=unix:/run/m"}, func(o *options) { o.metrics = &endpoint{"unix", "/run/m"} }},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseOptions(append(slices.Clone(needed), c.args...))
			if err != nil {
				t.Fatal(err)
			}
			want := defaults
			c.want(&want)
			if g, w := describe(got), describe(&want); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
		})
	}
	o, err := parseOptions([]string{"--fd", "0", "--shared-dir", "/d", "--tag", "t"})
	if err != nil || o.fd != 0 {
		t.Errorf("--fd 0: %+v, %v", o, err)
	}
}

func cpus(numbers ...int) (set unix.CPUSet) {
	for _, n := range numbers {
		set.Set(n)
	}
	return set
}

func describe(o *options) string {
	p := *o
	p.metrics = nil
	return fmt.Sprintf("%+v %v", p, o.metrics)
}

func TestPrintCapabilities(t *testing.T) {
	for _, args := range [][]string{
		{"--print-capabilities"},
		{"--socket-path=/s", "--print-capabilities", "--no-such-flag", "--log-level=loud", "argument"},
		{"--help", "--print-capabilities"},
	} {
		got := runArgs(t, args...)
		if got != (outcome{0, "{ \"type\": \"9p\" }\n", ""}) {
			t.Errorf("%q: %+v", args, got)
		}
		if !json.Valid([]byte(got.stdout)) {
			t.Errorf("%q is not JSON", got.stdout)
		}
	}
}

func TestVersion(t *testing.T) {
	got := runArgs(t, "--version", "--tag=")
	if got.status != 0 || got.stderr != "" || !regexp.MustCompile(`^vhost-user-9p \S+ \(commit \S+, go1\S* linux/\w+\)\n$`).MatchString(got.stdout) {
		t.Errorf("%+v", got)
	}
}

// TestHelp holds the text against the flags that there are.
func TestHelp(t *testing.T) {
	for _, arg := range []string{"--help", "-h", "-help"} {
		got := runArgs(t, arg, "--log-level=loud")
		if got != (outcome{0, usage, ""}) {
			t.Errorf("%s: %+v", arg, got)
		}
	}
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^  --([a-z-]+)`).FindAllStringSubmatch(usage, -1) {
		documented = append(documented, m[1])
	}
	var exist []string
	for _, s := range settings {
		if s.name != "h" {
			exist = append(exist, s.name)
		}
	}
	slices.Sort(documented)
	slices.Sort(exist)
	if !slices.Equal(documented, exist) {
		t.Errorf("documented: %v\nexist:      %v", documented, exist)
	}
	for i, line := range strings.Split(usage, "\n") {
		if len(line) > 80 && !strings.Contains(line, "-device ") && !strings.Contains(line, "host$") {
			t.Errorf("line %d has more than 80 columns: %s", i+1, line)
		}
	}
}
