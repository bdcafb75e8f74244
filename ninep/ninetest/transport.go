// SPDX-License-Identifier: Apache-2.0

package ninetest

import "context"

// Transport carries T-messages to a server.
type Transport interface {
	// Send puts a request on its way, with room for a reply of space bytes, and
	// does not wait for it. Requests arrive in the order of the calls. wait returns
	// the reply; one without any bytes means that the server gave the request back
	// without a reply.
	Send(req []byte, space int) (wait func(context.Context) ([]byte, error), err error)
}

// RoundTripFunc makes a Transport of a function that sends one request and waits
// for its reply. The order in which requests arrive is that of their goroutines.
type RoundTripFunc func(ctx context.Context, req []byte, space int) ([]byte, error)

// Send implements Transport.
func (f RoundTripFunc) Send(req []byte, space int) (func(context.Context) ([]byte, error), error) {
	type result struct {
		reply []byte
		err   error
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan result, 1)
	go func() {
		reply, err := f(ctx, req, space)
		done <- result{reply, err}
	}()
	return func(ctx context.Context) ([]byte, error) {
		defer cancel()
		select {
		case r := <-done:
			return r.reply, r.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, nil
}
