// SPDX-License-Identifier: Apache-2.0

// Package flush makes the table of file IDs durable whenever the guest may not come back as
// it was, and tells when and why that was done.
//
// What a guest has seen of the table is durable already: it is stored before the reply that
// shows a new ID. A flush repairs what has vanished from the export since, adopts what other
// daemons have stored there, and tells by log and metrics that all is well, at the moments
// that matter: when the guest was stopped, unplugged or ended.
package flush
