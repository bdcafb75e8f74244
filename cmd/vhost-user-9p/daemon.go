// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/cmd/vhost-user-9p/internal/flush"
	"vhost-user-9p/cmd/vhost-user-9p/internal/metrics"
	"vhost-user-9p/cmd/vhost-user-9p/internal/qmp"
	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/throttle"
	"vhost-user-9p/ninep/virtio9p"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/vhostuser"
)

// daemon is everything that is open while front ends are served.
type daemon struct {
	log     *slog.Logger
	opts    *options
	release []func() error // what close calls, the last one first
	ready   bool           // openDaemon has succeeded

	table   *qidpath.Table
	flusher *flush.Flusher
	watcher *qmp.Watcher // nil: QEMU's monitor is not watched
	files   *hostfs.FS
	limiter *throttle.Limiter // nil: no limits

	limitsFile *limitsFile // nil: none

	session *ninep.Session
	device  *virtio9p.Device
	server  *vhostuser.Server

	// One of them is not nil.
	listener *net.UnixListener
	conn     *net.UnixConn
}

// openDaemon opens all that can fail. The socket comes last: a front end that finds it
// finds a daemon that serves.
func openDaemon(opts *options, log *slog.Logger) (_ *daemon, err error) {
	d := &daemon{log: log, opts: opts}
	defer func() {
		if err != nil {
			_ = d.close()
		}
	}()
	unix.Umask(0) // the guest says what modes files have
	if err := opts.setProcessors(); err != nil {
		return nil, err
	}
	nofile, err := raiseNofile(opts.nofile)
	if err != nil {
		return nil, err
	}
	if opts.nofile == 0 && nofile < fewFiles {
		log.Warn("the limit of open files is low: with guests that use more files at a time, files are closed and opened again", "nofile", nofile)
	}
	gid, err := lookupGroup(opts.group)
	if err != nil {
		return nil, err
	}
	if err := d.openDevice(); err != nil {
		return nil, err
	}
	d.server = vhostuser.NewServer(d.device, vhostuser.Config{Logger: log})
	if err := d.openQMP(); err != nil {
		return nil, err
	}
	if err := d.openMetrics(gid); err != nil {
		return nil, err
	}
	if err := d.openSocket(gid); err != nil {
		return nil, err
	}
	v, _ := buildInfo()
	log.Info("ready", "version", v, "shared_dir", opts.sharedDir, "tag", opts.tag, "readonly", opts.readOnly,
		"security_model", opts.model.String(),
		"config_size", 2+len(opts.tag), "nofile", nofile)
	d.ready = true
	return d, nil
}

// openDevice makes the device that is served, from the export upwards.
func (d *daemon) openDevice() error {
	root, err := openExport(d.opts.sharedDir)
	if err != nil {
		return err
	}
	defer root.Close() // whoever needs it has a copy
	if err := d.opts.chooseModel(root, d.log); err != nil {
		return err
	}
	if err := d.openTable(root); err != nil {
		return err
	}
	d.flusher = flush.New(d.table.Flush, d.log)
	d.atClose(d.closeTable)
	backend, err := hostfs.New(hostfs.Config{
		Root:       root,
		QIDPaths:   d.table,
		ReadOnly:   d.opts.readOnly,
		Model:      d.opts.model,
		FileMode:   d.opts.fileMode,
		DirMode:    d.opts.dirMode,
		MultiDevs:  d.opts.multiDevs,
		WriteOut:   d.opts.writeOut,
		StatFSType: d.opts.fsType,
		UIDs:       d.opts.uids,
		GIDs:       d.opts.gids,
		XattrMap:   d.opts.xattrMap,
		Logger:     d.log,
	})
	if err != nil {
		return fmt.Errorf("--shared-dir %q: %w", d.opts.sharedDir, err)
	}
	d.files = backend
	d.atClose(backend.Close)
	if err := d.openThrottle(); err != nil {
		return err
	}
	d.session = ninep.NewSession(ninep.Config{
		Backend:  backend,
		MaxMsize: d.opts.maxMsize,
		ReadOnly: d.opts.readOnly,
		Throttle: d.limiter,
		Logger:   d.log,
	})
	d.device, err = virtio9p.New(virtio9p.Config{
		Tag:        d.opts.tag,
		Session:    d.session,
		Realized:   d.realized,
		Unrealized: func(reason string) { _ = d.flusher.Now(flush.ByReason(reason)) },
		Suspended:  func() { _ = d.flusher.Now(flush.Suspended) },
		Running:    d.opts.threads,
		Poll:       d.opts.poll,
		Packed:     d.opts.packed,
		Logger:     d.log,
	})
	return err
}

// openMetrics serves metrics from now on, if that is wanted.
func (d *daemon) openMetrics(gid int) error {
	e := d.opts.metrics
	if e == nil {
		return nil
	}
	l, err := e.listen(gid)
	if err != nil {
		return fmt.Errorf("--metrics-listen %q: %w", e, err)
	}
	v, revision := buildInfo()
	s := metrics.NewServer(metrics.NewRegistry(metrics.Sources{
		Version:  v,
		Revision: revision,
		Requests: d.session.Stats,
		Queue:    d.device.Stats,
		FrontEnd: d.server.Stats,
		Files:    d.files.Stats,
		QIDs:     d.table.Stats,
		Flushes:  d.flusher.Stats,
		QMP:      d.qmpStats,
		Throttle: d.throttled,
	}), func() error { return metrics.Health(d.table.Stats()) }, d.log)
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(l)
	}()
	d.atClose(func() error {
		defer func() { <-served }()
		return s.Close()
	})
	address := e.String()
	if e.network == "tcp" {
		address = l.Addr().String() // the port may have been left to the system
	}
	d.log.Info("metrics are served", "address", address)
	return nil
}

// openSocket makes or takes over the socket that front ends connect to.
func (d *daemon) openSocket(gid int) error {
	if d.opts.socketPath == "" {
		l, c, err := inherit(d.opts.fd)
		if err != nil {
			return fmt.Errorf("--fd %d %w", d.opts.fd, err)
		}
		d.listener, d.conn = l, c
		if l != nil {
			d.atClose(l.Close)
		}
		return nil
	}
	l, err := listenUnix(d.opts.socketPath, gid)
	if err != nil {
		return fmt.Errorf("--socket-path %q: %w", d.opts.socketPath, err)
	}
	d.listener = l.UnixListener
	d.atClose(l.Close)
	return nil
}

func (d *daemon) atClose(f func() error) { d.release = append(d.release, f) }

// close gives back what openDaemon opened: the socket first, so that nobody comes any more,
// and the QID table, flushed, last.
func (d *daemon) close() error {
	var err error
	for len(d.release) > 0 {
		last := len(d.release) - 1
		err = errors.Join(err, d.release[last]())
		d.release = d.release[:last]
	}
	return err
}

// errImpatient is returned when a second signal asks for the end while the first one is
// being carried out.
var errImpatient = errors.New("ended at once by a second signal")

// serve serves front ends until ctx ends or a signal comes, and closes the daemon. If it
// returns errImpatient that goes on in the background, for as long as the process lasts. A
// hangup has files read again.
func (d *daemon) serve(ctx context.Context, end, hangup <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := d.serveFrontEnds(ctx)
		done <- errors.Join(err, d.close())
	}()
	ending := false
	for {
		select {
		case err := <-done:
			d.log.Info("ended")
			return err
		case <-hangup:
			d.readAgain()
		case sig := <-end:
			if ending {
				d.log.Error("second signal, ending at once", "signal", sig.String())
				return errImpatient
			}
			ending = true
			d.log.Info("signal, finishing what is being executed", "signal", sig.String())
			cancel()
		}
	}
}

func (d *daemon) serveFrontEnds(ctx context.Context) error {
	if d.conn != nil {
		return d.server.ServeConn(ctx, d.conn)
	}
	return d.server.Serve(ctx, d.listener)
}
