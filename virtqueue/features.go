// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"fmt"
	"math/bits"
	"strings"
)

// Features is a set of virtio feature bits.
type Features uint64

// Feature bits that concern rings and transport.
const (
	FeatureLogAll         Features = 1 << 26 // VHOST_F_LOG_ALL
	FeatureIndirectDesc   Features = 1 << 28 // VIRTIO_F_INDIRECT_DESC
	FeatureEventIdx       Features = 1 << 29 // VIRTIO_F_EVENT_IDX
	FeatureProtocol       Features = 1 << 30 // VHOST_USER_F_PROTOCOL_FEATURES
	FeatureVersion1       Features = 1 << 32 // VIRTIO_F_VERSION_1
	FeatureAccessPlatform Features = 1 << 33 // VIRTIO_F_ACCESS_PLATFORM
	FeatureRingPacked     Features = 1 << 34 // VIRTIO_F_RING_PACKED
)

var featureNames = map[Features]string{
	FeatureLogAll:         "LOG_ALL",
	FeatureIndirectDesc:   "INDIRECT_DESC",
	FeatureEventIdx:       "EVENT_IDX",
	FeatureProtocol:       "PROTOCOL_FEATURES",
	FeatureVersion1:       "VERSION_1",
	FeatureAccessPlatform: "ACCESS_PLATFORM",
	FeatureRingPacked:     "RING_PACKED",
}

// Has reports whether all bits of want are in f.
func (f Features) Has(want Features) bool { return f&want == want }

// String lists the names of the bits, lowest first; bits without a name as bit numbers.
func (f Features) String() string {
	if f == 0 {
		return "0"
	}
	var names []string
	for rest := uint64(f); rest != 0; rest &= rest - 1 {
		bit := bits.TrailingZeros64(rest)
		name, ok := featureNames[1<<bit]
		if !ok {
			name = fmt.Sprintf("bit%d", bit)
		}
		names = append(names, name)
	}
	return strings.Join(names, "|")
}
