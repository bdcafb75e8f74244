// SPDX-License-Identifier: Apache-2.0

package ninep

import "testing"

func BenchmarkCodec(b *testing.B) {
	b.Run("encode_Rgetattr", func(b *testing.B) {
		var buf [256]byte
		var a Attr
		b.ReportAllocs()
		for b.Loop() {
			c := coder{b: buf[headerSize:], enc: true}
			a.fields(&c)
		}
	})
	b.Run("decode_Twalk", func(b *testing.B) {
		msg := encode(b, 1, &Twalk{NewFID: 1, Names: []Name{Name("a name of some length")}})
		var names [maxWalkNames]Name
		b.ReportAllocs()
		for b.Loop() {
			m := Twalk{Names: names[:]}
			c := coder{b: msg[headerSize:]}
			m.fields(&c)
		}
	})
}
