# SPDX-License-Identifier: Apache-2.0

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
SHARE   ?=
CMD     ?=
ARGS    ?=

.PHONY: help build demo test check lint fuzz soak bench profile install clean

help: ## Show this list.
	@echo 'vhost-user-9p: a 9P server for virtual machines. Targets:'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## Build bin/vhost-user-9p.
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/vhost-user-9p ./cmd/vhost-user-9p

demo: ## Boot a guest with SHARE=DIR at /mnt; CMD='...' runs one command there.
	@SHARE='$(subst ','\'',$(value SHARE))' CMD='$(subst ','\'',$(value CMD))' hack/demo.sh

test: ## Run everything: units, fuzzing, guests under QEMU and UML (about half an hour).
	@hack/test.sh all

check: ## Run the quick part: units and in-process tests.
	@hack/test.sh check

lint: ## Check formatting, vet, static analysis, house rules, scripts.
	@hack/lint.sh

fuzz: ## Fuzz each target for FUZZTIME (30s).
	@hack/test.sh fuzz

soak: ## Run what takes longer than a test run should.
	@hack/test.sh soak

bench: ## Compare the daemon with other servers, results in bench-results/; ARGS='-run Ring' (docs/performance.md).
	@hack/bench.sh $(ARGS)

profile: ## Make anew what the compiler goes by when it optimizes (cmd/vhost-user-9p/default.pgo).
	@hack/profile.sh

PREFIX ?= /usr/local
install: build ## Install the daemon, its manual page and what lets QEMU's tools find it below PREFIX.
	install -D -m 755 bin/vhost-user-9p $(DESTDIR)$(PREFIX)/libexec/vhost-user-9p
	install -d $(DESTDIR)$(PREFIX)/share/qemu/vhost-user
	sed 's,@BINARY@,$(PREFIX)/libexec/vhost-user-9p,' hack/50-vhost-user-9p.json >$(DESTDIR)$(PREFIX)/share/qemu/vhost-user/50-vhost-user-9p.json
	install -D -m 644 docs/vhost-user-9p.8 $(DESTDIR)$(PREFIX)/share/man/man8/vhost-user-9p.8

clean: ## Remove what was built in this checkout (the cache stays).
	rm -rf bin
