# Makes this machine one that pulls from the site's registry, verified by the site's CA.
# Running it again changes nothing. GAPCHECK_ROOT prepares the root of an image instead.
set -eu
umask 022
root=${GAPCHECK_ROOT:-}
certs_d=/etc/containerd/certs.d
restart=''
incomplete=''

work=$(mktemp)
trap 'rm -f "$work"' EXIT

say() { printf 'gapcheck node-init: %s\n' "$*" >&2; }
die() { say "$*"; exit 2; }
leave() { say "$*"; incomplete=yes; }

# What lies in $work becomes the file, unless it is that already; $changed says which.
put() {
    target=$root$1
    changed=''
    if [ -f "$target" ] && cmp -s "$work" "$target"; then return 0; fi
    mkdir -p "${target%/*}" || die "$1: its folder cannot be made"
    if [ "${2:-}" = in-place ] && [ -f "$target" ]; then
        cat "$work" >"$target" || die "$1 cannot be written"
    else
        cat "$work" >"$target.gapcheck-new" || die "$1 cannot be written"
        chmod 0644 "$target.gapcheck-new" || die "$1 cannot be written"
        mv -f "$target.gapcheck-new" "$target" || die "$1 cannot be replaced"
    fi
    changed=yes
    say "wrote $1"
}

put_ca() {
    ca >"$work" || die 'no temporary file can be written'
    put "$1/ca.crt"
}

has() {
    for folder in /usr/bin /usr/sbin /usr/local/bin /bin; do
        [ ! -e "$root$folder/$1" ] || return 0
    done
    return 1
}

has_containerd() {
    has containerd || [ -d "$root/etc/containerd" ] && return 0
    ! has dockerd && ! has crio && [ ! -d "$root/etc/rancher" ]
}

# 1 or 2: by the program where it can be asked, else by the format of the configuration.
generation() {
    if [ -z "$root" ] && command -v containerd >/dev/null 2>&1; then
        case $(containerd --version) in
        *' v2.'* | *' 2.'*) echo 2 ;;
        *) echo 1 ;;
        esac
        return
    fi
    key=$(sed -n 's/^[[:space:]]*version[[:space:]]*=[[:space:]]*\([0-9]\).*/\1/p' "$1" | head -n 1)
    if [ "${key:-1}" -ge 3 ]; then echo 2; else echo 1; fi
}

# The configuration with one explicit config_path, and without tables that exclude or skip.
edited_config() {
    awk -v generation="$1" -v path="$certs_d" -v netloc="$netloc" -v host="$host" -v port="$port" '
    function refuse(why) { print why >"/dev/stderr"; refused = 1; exit 3 }
    function named(line) {
        sub(/^[ \t]*\[[ \t]*/, "", line)
        sub(/[ \t]*\][ \t]*(#.*)?$/, "", line)
        gsub(/\047/, "\"", line)
        return line
    }
    function ours(name) {
        return name == netloc || name == host || name == host ":" port || name == ""
    }
    function starts(text, start) { return substr(text, 1, length(start)) == start }
    function key_of(rest) {
        if (substr(rest, 1, 1) == "\"") {
            rest = substr(rest, 2)
            return substr(rest, 1, index(rest, "\"") - 1)
        }
        return rest ~ /\./ ? substr(rest, 1, index(rest, ".") - 1) : rest
    }
    # Whether the table goes; refuses where another registry is set in a way that excludes ours.
    function goes(name,    id, n, ids, base, key) {
        n = split(old " " new, ids, " ")
        for (id = 1; id <= n; id++) {
            base = "plugins.\"" ids[id] "\".registry"
            if (starts(name, base ".mirrors.")) {
                if (!ours(key_of(substr(name, length(base ".mirrors.") + 1))))
                    refuse("registry.mirrors of another registry: move it to hosts.toml first")
                return 1
            }
            if (starts(name, base ".configs.")) {
                key = key_of(substr(name, length(base ".configs.") + 1))
                if (name !~ /\.tls$/) {
                    if (generation == 2 && ids[id] == old && !ours(key))
                        refuse("registry.configs of another registry: move it first")
                    return ours(key) && name !~ /\.auth$/
                }
                if (generation == 1 && !ours(key))
                    refuse("registry.configs tls of another registry: move it to hosts.toml first")
                return 1
            }
            if (generation == 2 && ids[id] == old && (name == base || starts(name, base ".")))
                return 1
        }
        return 0
    }
    BEGIN {
        old = "io.containerd.grpc.v1.cri"
        new = "io.containerd.cri.v1.images"
        wanted = "plugins.\"" (generation == 2 ? new : old) "\".registry"
        setting = "  config_path = \"" path "\""
    }
    { lines[NR] = $0 }
    /^[ \t]*version[ \t]*=/ && !first { version = NR }
    /^[ \t]*\[/ { if (!first) first = NR; if (named($0) ~ /^plugins\.cri(\.|$)/) short = 1 }
    END {
        if (refused) exit 3
        if (generation == 1 && short) refuse("a version 1 file with its own tables: convert it first")
        number = version ? lines[version] : ""
        gsub(/[^0-9]/, "", number)
        if (generation == 1 && !version) print "version = 2"
        for (i = 1; i <= NR; i++) {
            line = lines[i]
            if (i == version && generation == 1 && number == "1") line = "version = 2"
            if (line ~ /^[ \t]*disabled_plugins[ \t]*=/)
                gsub(/["\047](io\.containerd\.grpc\.v1\.)?cri["\047][ \t]*,?[ \t]*/, "", line)
            if (line ~ /^[ \t]*\[/) {
                inside = named(line)
                dropped = goes(inside)
                if (!dropped) {
                    print line
                    if (inside == wanted) { print setting; found = 1 }
                }
                continue
            }
            if (dropped && line !~ /^[ \t]*(#|$)/) continue
            if (line ~ /^[ \t]*config_path[ \t]*=/ && inside == wanted) continue
            if (line !~ /^[ \t]*#/ && line ~ /config_path|^[ \t]*registry[ \t]*[.=]/)
                refuse("line " i " sets the registry in a form that is not edited here: " line)
            print line
        }
        if (!found) { print ""; print "[" wanted "]"; print setting }
    }'
}

set_up_containerd() {
    folder=$certs_d/$netloc
    put_ca "$folder"
    cat >"$work" <<TOML
server = "https://$netloc"

[host."https://$netloc"]
  capabilities = ["pull", "resolve"]
  ca = "$folder/ca.crt"
TOML
    put "$folder/hosts.toml"
    config=$root/etc/containerd/config.toml
    source=$config
    [ -f "$source" ] || source=/dev/null
    if ! edited_config "$(generation "$source")" <"$source" >"$work"; then
        leave "/etc/containerd/config.toml was left as it is; see above"
        return 0
    fi
    if [ -z "$root" ] && command -v containerd >/dev/null 2>&1 &&
        ! said=$(containerd -c "$work" config dump 2>&1 >/dev/null); then
        say "$said"
        leave "containerd refuses the edited configuration; it was left as it is"
        return 0
    fi
    if [ -f "$config" ] && ! cmp -s "$work" "$config" && [ ! -e "$config.before-gapcheck" ]; then
        cp -p "$config" "$config.before-gapcheck" || die "$config cannot be copied"
    fi
    put /etc/containerd/config.toml
    [ -z "$changed" ] || restart="$restart containerd"
}

set_up_embedded() {
    for kind in k3s rke2; do
        [ -d "$root/etc/rancher/$kind" ] || continue
        folder=$certs_d/$netloc
        put_ca "$folder"
        file=/etc/rancher/$kind/registries.yaml
        if [ -f "$root$file" ] && ! grep -qF "$folder/ca.crt" "$root$file"; then
            leave "$file exists: set configs.\"$netloc\".tls.ca_file to $folder/ca.crt there"
        elif [ ! -f "$root$file" ]; then
            cat >"$work" <<YAML
mirrors:
  "$netloc":
    endpoint:
      - "https://$netloc"
configs:
  "$netloc":
    tls:
      ca_file: "$folder/ca.crt"
YAML
            put "$file"
            restart="$restart $kind"
        fi
    done
}

set_up_system_store() {
    ids=" $(sed -n 's/^ID\(_LIKE\)\{0,1\}=//p' "$root/etc/os-release" | tr -d '"\047' | tr '\n' ' ') "
    case $ids in
    *' debian '* | *' ubuntu '* | *' alpine '*)
        anchors=/usr/local/share/ca-certificates tool=update-ca-certificates ;;
    *' rhel '* | *' fedora '* | *' centos '* | *' amzn '*)
        anchors=/etc/pki/ca-trust/source/anchors tool=update-ca-trust ;;
    *' suse '* | *' sles '*) anchors=/etc/pki/trust/anchors tool=update-ca-certificates ;;
    *' arch '*) anchors=/etc/ca-certificates/trust-source/anchors tool=update-ca-trust ;;
    *) leave "the trust store of this distribution is not known"; return ;;
    esac
    refresh=''
    for name in $anchor_names; do
        anchor "$name" >"$work"
        put "$anchors/$name.crt"
        refresh=$refresh$changed
    done
    [ -n "$refresh" ] || return 0
    if [ -n "$root" ]; then
        leave "run $tool inside the image"
    else
        $tool >/dev/null
        restart="$restart containerd docker"
    fi
}

set_up_name() {
    file=/etc/hosts
    [ -f "$root$file" ] || { mkdir -p "$root/etc"; : >"$root$file"; }
    awk -v address="$address" -v host="$host" '
    /^# BEGIN gapcheck registry$/ { skip = 1 }
    skip { if (/^# END gapcheck registry$/) skip = 0; next }
    /^[ \t]*(#|$)/ { print; next }
    {
        text = $0
        comment = ""
        if (at = index(text, "#")) { comment = substr(text, at); text = substr(text, 1, at - 1) }
        n = split(text, field, /[ \t]+/)
        first = field[1] == "" ? 2 : 1
        kept = field[first]
        names = 0
        same = 1
        for (i = first + 1; i <= n; i++) {
            if (field[i] == "") continue
            if (tolower(field[i]) == tolower(host)) { same = 0; continue }
            kept = kept " " field[i]
            names++
        }
        if (same) print
        else if (names) print kept (comment == "" ? "" : " " comment)
    }
    END {
        print "# BEGIN gapcheck registry"
        print address " " host
        print "# END gapcheck registry"
    }' "$root$file" >"$work" || die "$file cannot be read"
    put "$file" in-place
}

case $trust in registry | both)
    if has_containerd; then set_up_containerd; fi
    set_up_embedded
    if has dockerd || [ -d "$root/etc/docker" ]; then
        put_ca "/etc/docker/certs.d/$netloc"
    fi
    if has crio || [ -d "$root/etc/containers" ]; then
        put_ca "/etc/containers/certs.d/$netloc"
    fi
    ;;
esac
case $trust in os | both) set_up_system_store ;; esac
if [ -n "$address" ]; then set_up_name; fi

if [ -z "$root" ] && command -v systemctl >/dev/null 2>&1; then
    for unit in $(printf '%s\n' $restart | sort -u); do
        case $unit in
        k3s) units='k3s k3s-agent' ;;
        rke2) units='rke2-server rke2-agent' ;;
        *) units=$unit ;;
        esac
        for each in $units; do
            if systemctl is-active --quiet "$each"; then
                systemctl restart "$each"
                say "restarted $each"
            fi
        done
    done
fi
[ -z "$incomplete" ] || exit 1
