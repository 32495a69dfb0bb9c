# davbus: see README.md. `make demo` and `make check` do all set-up themselves.
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := $(shell sed -n 's/^## \([0-9][^ ]*\).*/\1/p' CHANGELOG.md | head -n 1)
GO ?= go
GOFLAGS_BUILD = -trimpath -ldflags "-s -w -X davbus.org/davbus/data.Version=$(VERSION)"

bindir = $(PREFIX)/bin
datadir = $(PREFIX)/share
mandir = $(datadir)/man
libexecdir = $(PREFIX)/libexec/davbus
unitdir = $(PREFIX)/lib/systemd/user

.PHONY: build demo check check-all install uninstall bench soak mutants fuzz man clean

build:
	$(GO) build $(GOFLAGS_BUILD) -o bin/ ./service/davbusd ./service/davbus

demo:
	@sh service/lab/setup.sh demo
	@$(MAKE) -s build
	@$(GO) run ./service/demo

check:
	@sh service/lab/check.sh setup build format vet lint datafiles plain race

check-all:
	@sh service/lab/check.sh setup_all build further

# The page of the interface is made of the XML; a test compares the two.
man:
	$(GO) run ./data/gen

MAN = davbus.1 davbusd.8 davbus-config.5 davbus-dbus.5 davbus-plugin.7 davbus-eds.7 davbus-todotxt.7
PLUGINS = todotxt eds

install: build
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(datadir)/dbus-1/services $(DESTDIR)$(datadir)/dbus-1/interfaces \
		$(DESTDIR)$(unitdir) $(DESTDIR)$(datadir)/doc/davbus/examples
	install -m 755 bin/davbusd bin/davbus $(DESTDIR)$(bindir)
	install -m 644 data/dbus-1/interfaces/*.xml $(DESTDIR)$(datadir)/dbus-1/interfaces
	sed 's|@bindir@|$(bindir)|' data/dbus-1/services/org.davbus.Sync1.service.in \
		>$(DESTDIR)$(datadir)/dbus-1/services/org.davbus.Sync1.service
	sed 's|@bindir@|$(bindir)|' data/systemd/user/davbus.service.in >$(DESTDIR)$(unitdir)/davbus.service
	install -m 644 data/systemd/user/davbus.socket $(DESTDIR)$(unitdir)
	cp -R data/config/. data/examples/. $(DESTDIR)$(datadir)/doc/davbus/examples
	install -d $(DESTDIR)$(libexecdir) $(DESTDIR)$(datadir)/davbus/plugins
	for id in $(PLUGINS); do \
		install -m 755 data/plugins/davbus-$$id $(DESTDIR)$(libexecdir) && \
		sed "s|^command: \[davbus-|command: [$(libexecdir)/davbus-|" data/plugins/$$id.yaml \
			>$(DESTDIR)$(datadir)/davbus/plugins/$$id.yaml || exit 1; \
	done
	install -m 644 data/plugins/davbus.yaml $(DESTDIR)$(datadir)/davbus/plugins
	for page in $(MAN); do \
		install -d $(DESTDIR)$(mandir)/man$${page##*.} && \
		scdoc <data/man/$$page.scd >$(DESTDIR)$(mandir)/man$${page##*.}/$$page || exit 1; \
	done

uninstall:
	rm -f $(DESTDIR)$(bindir)/davbusd $(DESTDIR)$(bindir)/davbus \
		$(DESTDIR)$(datadir)/dbus-1/services/org.davbus.Sync1.service $(DESTDIR)$(unitdir)/davbus.service $(DESTDIR)$(unitdir)/davbus.socket \
		$(DESTDIR)$(datadir)/dbus-1/interfaces/org.davbus.*.xml
	for page in $(MAN); do rm -f $(DESTDIR)$(mandir)/man$${page##*.}/$$page; done
	for id in $(PLUGINS) davbus; do \
		rm -f $(DESTDIR)$(libexecdir)/davbus-$$id $(DESTDIR)$(datadir)/davbus/plugins/$$id.yaml; done
	rm -rf $(DESTDIR)$(datadir)/doc/davbus
	for d in $(libexecdir) $(datadir)/davbus/plugins $(datadir)/davbus; do \
		rmdir $(DESTDIR)$$d 2>/dev/null || true; done

# Ends with lines "verdict: …": a figure, its floor of the same run, and how many times that is allowed.
bench:
	@sh service/lab/setup.sh check-all
	$(GO) test -tags real -run '^$$' -bench . -benchtime 1s -timeout 14m -p 1 ./...

# Everything that is random or exhaustive: at most an hour. Each part tells what it did,
# and stops at its own limit; `make soak SOAK=4` does four times as much for as long.
soak:
	@SOAK=$(or $(SOAK),1) sh service/lab/check.sh setup_all kills power worlds gales blackbox storms

mutants:
	$(GO) run ./service/mutants

fuzz:
	@sh service/lab/fuzz.sh

clean:
	rm -rf bin
