// SPDX-License-Identifier: Apache-2.0

//go:build !profile

package main

func startProfile() (stop func()) { return func() {} }
