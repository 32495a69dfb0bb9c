#!/bin/sh
# Installs the Debian packages that a target of the Makefile needs and that are missing.
#
#   setup.sh demo|check|check-all
#
# No system service is started by it. Without the right to install it names what is
# missing and fails; with everything there it does nothing and needs no network.
set -eu

demo="dbus libglib2.0-bin systemd curl"
check="gcc libc6-dev git radicale xandikos vdirsyncer khal socat netcat-openbsd cadaver strace jq
 python3-icalendar python3-vobject python3-caldav python3-gi python3-dbus gnome-keyring libsecret-tools
 libglib2.0-dev libxml2-utils qtbase5-dev-tools scdoc"
all="dbus-broker gjs gir1.2-glib-2.0 nginx stunnel4 openssh-server openssh-client openssl evolution-data-server gir1.2-edataserver-1.2 gir1.2-ecal-2.0
 khard todoman default-jdk-headless libez-vcard-java libvinnie-java gir1.2-ebook-1.2 gir1.2-ebookcontacts-1.2 gir1.2-icalglib-3.0 qtbase5-dev qtdeclarative5-dev qml-module-qtquick2 g++ xdg-dbus-proxy"

case "${1:-}" in
demo) want=$demo ;;
check) want="$demo $check" ;;
check-all) want="$demo $check $all" ;;
*) echo "usage: setup.sh demo|check|check-all" >&2; exit 2 ;;
esac

command -v go >/dev/null || { echo "setup: Go is missing: install Go 1.26 or newer and put it into PATH" >&2; exit 1; }
command -v dpkg-query >/dev/null || { echo "setup: this is no Debian system; install what these packages hold: $want" >&2; exit 1; }

missing=
for p in $want; do
	case "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null)" in
	"install ok installed") ;;
	*) missing="$missing $p" ;;
	esac
done
[ -n "$missing" ] || exit 0

as=
if [ "$(id -u)" != 0 ]; then
	if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as="sudo -n"; else
		echo "setup: these Debian packages are missing and only root may install them:" >&2
		echo "  apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
fi

# A policy of our own keeps the packages' services from starting while they are installed.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then
	made=1
	printf '#!/bin/sh\nexit 101\n' | $as tee $policy >/dev/null
	$as chmod 755 $policy
fi
log=$(mktemp)
undo() { [ -z "$made" ] || $as rm -f $policy; rm -f "$log"; }
trap undo EXIT
trap 'exit 1' INT TERM

echo "setup: installing$missing"
if ! { $as apt-get update -qq && $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	echo "setup: apt-get failed; see above" >&2
	exit 1
fi
