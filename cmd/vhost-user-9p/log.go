// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log/slog"
)

func newLogger(w io.Writer, o *options) *slog.Logger {
	h := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == formatJSON {
		return slog.New(slog.NewJSONHandler(w, h))
	}
	return slog.New(slog.NewTextHandler(w, h))
}
