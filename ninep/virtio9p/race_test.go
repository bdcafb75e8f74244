// SPDX-License-Identifier: Apache-2.0

//go:build race

package virtio9p_test

const raceEnabled = true
