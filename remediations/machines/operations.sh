# What a repair may do on a machine: functions, fed to `sh -s`. The last line of the program
# calls one of them. Exit 9: refused, nothing was changed. Exit 8: begun, and not finished.
LC_ALL=C
export LC_ALL
umask 077
state_dir=/var/lib/gapcheck

refuse() {
    printf '%s\n' "$1" >&2
    exit 9
}

fail() {
    printf '%s\n' "$1" >&2
    exit 8
}

b64() {
    base64 | tr -d '\n'
}

settle() {
    sync -- "$@" 2>/dev/null || sync
}

sum_of() {
    sum=$(sha256sum <"$1") || return 1
    printf '%s' "${sum%% *}"
}

# kind sha256 mode uid gid link
state() {
    if [ -L "$1" ]; then
        printf 'link - 0 %s %s\n' "$(stat -c '%u %g' "$1")" "$(readlink -n "$1" | b64)"
    elif [ -f "$1" ]; then
        sum=$(sum_of "$1") || refuse "$1 cannot be read"
        printf 'file %s %s -\n' "$sum" "$(stat -c '%a %u %g' "$1")"
    elif [ -d "$1" ]; then
        printf 'dir - %s -\n' "$(stat -c '%a %u %g' "$1")"
    elif [ -e "$1" ]; then
        printf 'other - %s -\n' "$(stat -c '%a %u %g' "$1")"
    else
        printf 'absent - 0 -1 -1 -\n'
    fi
}

states() {
    for path do
        state "$path"
    done
}

# follow|stay read|skip PATH
look() {
    path=$3
    missing=
    if [ "$1" = follow ] && [ -L "$path" ] && [ ! -e "$path" ]; then
        refuse "$path is a link that leads nowhere"
    fi
    name=
    folder=$path
    if [ -e "$path" ] && [ "$1" = follow ]; then
        path=$(readlink -f "$path")
    else
        name=/${folder##*/}
        folder=${folder%/*}
        while [ -n "$folder" ] && [ ! -d "$folder" ]; do
            [ ! -L "$folder" ] || refuse "$folder is a link that leads nowhere"
            [ ! -e "$folder" ] || refuse "$folder is not a folder"
            name=/${folder##*/}$name
            folder=${folder%/*}
        done
        real=$(readlink -f "${folder:-/}")
        [ "$real" != / ] || real=
        path=$real$name
    fi
    folder=${path%/*}
    while [ -n "$folder" ] && [ ! -d "$folder" ]; do
        missing="$(printf '%s' "$folder" | b64) $missing"
        folder=${folder%/*}
    done
    state "$path"
    printf '%s\n' "$path" | b64
    printf '\n%s\n' "$missing"
    if [ "$2" = read ] && [ -f "$path" ]; then
        b64 <"$path" || refuse "$path cannot be read"
    fi
}

tree() {
    for folder do
        [ -d "$folder" ] || continue
        find -H "$folder" -type f -exec stat -c 'mode %a %u %g %n' {} +
        find -H "$folder" -type f -exec sha256sum {} + | sed 's/^/sum /'
        find -H "$folder" -type l -exec sh -c 'for link do
            printf "link %s %s %s\n" "$(stat -c "%u %g" "$link")" "$(readlink -n "$link" | base64 | tr -d "\n")" "$link"
        done' sh {} +
    done
}

# Who this is, where it is not root, and what that asks for.
whoami_not() {
    [ "$(id -u)" = 0 ] || printf ' by %s, who is not root: sudo: true in the site file, with the right to use it' "$(id -un)"
}

private() {
    for folder do
        [ -d "$folder" ] || mkdir -p "$folder" 2>/dev/null || refuse "$folder cannot be made$(whoami_not)"
        chmod 700 "$folder" 2>/dev/null || refuse "$folder belongs to another user$(whoami_not)"
    done
}

touch_lock() {
    [ ! -e "$state_dir/lock" ] || touch "$state_dir/lock"
}

# RUN then SHA256 PATH pairs
save() {
    backup=$state_dir/runs/$1/backup
    private "$state_dir" "$state_dir/runs" "$state_dir/runs/$1" "$backup"
    touch_lock
    shift
    while [ $# -gt 1 ]; do
        if [ ! -e "$backup/$1" ]; then
            cat "$2" >"$backup/.new" || refuse "$2 cannot be backed up"
            [ "$(sum_of "$backup/.new")" = "$1" ] || refuse "$2 is being changed"
            settle "$backup/.new"
            mv -f "$backup/.new" "$backup/$1" || refuse "$2 cannot be backed up"
        fi
        shift 2
    done
    settle "$backup"
}

fill() {
    case $1 in
        stdin) base64 -d ;;
        *) cat "$state_dir/runs/$1/backup/$2" ;;
    esac
}

# RUN SHA256: prints = and the content as base64, nothing where it is not kept
kept() {
    if [ -f "$state_dir/runs/$1/backup/$2" ]; then
        printf '='
        b64 <"$state_dir/runs/$1/backup/$2"
    fi
}

# PATH...: what a program that was cut off left beside them
sweep() {
    for path do
        for left in "${path%/*}/.${path##*/}".gapcheck-[0-9]* \
            "${path%/*}"/.gapcheck-candidate-[0-9]*; do
            number=${left##*-}
            case ${number%.toml} in
                *[!0-9]*) ;;
                *) [ ! -f "$left" ] && [ ! -L "$left" ] || rm -f "$left" ;;
            esac
        done
    done
}

overwrite() {
    cat "$1" >"$2" || fail "$2 could not be written to its end"
    settle "$2"
}

# SOURCE PATH EXPECT place|rename KIND SHA256 MODE UID GID LINK; SOURCE is keep, stdin or a run.
put() {
    source=$1 path=$2 expect=$3 way=$4 kind=$5 sum=$6 mode=$7 uid=$8 gid=$9
    shift 9
    link=$1
    if [ "$expect" != any ] && [ "$(state "$path")" != "$expect" ]; then
        refuse "$path was changed by someone else"
    fi
    touch_lock
    sweep "$path"
    temporary=${path%/*}/.${path##*/}.gapcheck-$$
    trap 'rm -f "$temporary"' EXIT
    if [ "$kind" != absent ]; then
        (umask 022 && mkdir -p "${path%/*}/") || refuse "${path%/*} cannot be made"
    fi
    case $kind-$source in
        absent-*) rm -f "$path" || fail "$path cannot be removed" ;;
        link-*)
            ln -s "$(printf '%s' "$link" | base64 -d)" "$temporary" || refuse "$path cannot be made"
            mv -fT "$temporary" "$path" 2>/dev/null || {
                rm -f "$path"
                mv -f "$temporary" "$path" || fail "$path cannot be made"
            }
            ;;
        file-keep)
            dress "$path" || fail "mode or owner of $path cannot be set"
            ;;
        file-*) put_file ;;
        *) refuse "$kind is nothing that can be written" ;;
    esac
    [ ! -d "${path%/*}/" ] || settle "${path%/*}/"
    state "$path"
}

put_file() {
    # Where a link stands the file takes its place; what it points at is not ours to write.
    plain=no
    [ ! -f "$path" ] || [ -L "$path" ] || plain=yes
    if [ "$plain" = yes ]; then
        cp -a "$path" "$temporary" 2>/dev/null || cp -p "$path" "$temporary" ||
            refuse "$temporary cannot be made"
    else
        : >"$temporary" || refuse "$temporary cannot be made"
    fi
    fill "$source" "$sum" >"$temporary" || refuse "$temporary cannot be written"
    [ "$(sum_of "$temporary")" = "$sum" ] || refuse "$path did not arrive whole"
    dress "$temporary" || refuse "mode or owner of $path cannot be set"
    settle "$temporary"
    if [ "$way" = place ] && [ "$plain" = yes ]; then
        overwrite "$temporary" "$path"
        dress "$path" || fail "mode or owner of $path cannot be set"
    elif ! mv -f "$temporary" "$path" 2>/dev/null; then
        # A bind mount cannot be replaced, only written into.
        [ "$plain" = yes ] || refuse "$path cannot be made"
        overwrite "$temporary" "$path"
        dress "$path" || fail "mode or owner of $path cannot be set"
    fi
}

dress() {
    if [ "$uid" -ge 0 ] && [ "$(stat -c '%u %g' "$1")" != "$uid $gid" ]; then
        chown "$uid:$gid" "$1" || return 1
    fi
    chmod "$mode" "$1"
}

remove_folder() {
    if rmdir "$1" 2>/dev/null || [ ! -e "$1" ]; then
        printf 'gone\n'
    fi
}

# take|force MINE SEEN: prints who holds the lock, and for how many seconds it was not touched
lock() {
    private "$state_dir"
    exec 9>"$state_dir/guard" || refuse "$state_dir cannot be written"
    ! command -v flock >/dev/null || flock 9
    file=$state_dir/lock
    if [ -e "$file" ]; then
        held=$(cat "$file")
        if [ "$1" != force ] || [ "$held" != "$3" ]; then
            printf '%s\n%s\n' "$held" "$(($(date +%s) - $(stat -c %Y "$file")))"
            return
        fi
    fi
    printf '%s' "$2" >"$file.new" && mv -f "$file.new" "$file" || refuse "$file cannot be written"
    printf '%s\n0\n' "$2"
}

unlock() {
    [ "$(cat "$state_dir/lock" 2>/dev/null)" != "$1" ] || rm -f "$state_dir/lock"
}

# MINE: keeps the lock from running out
renew() {
    [ "$(cat "$state_dir/lock" 2>/dev/null)" = "$1" ] || refuse "its lock was taken over by another run"
    touch "$state_dir/lock"
}

# PATH; the candidate on standard input
validate_containerd() {
    command -v containerd >/dev/null || return 0
    candidate=${1%/*}/.gapcheck-candidate-$$.toml
    trap 'rm -f "$candidate"' EXIT
    base64 -d >"$candidate" || refuse "$candidate cannot be written"
    said=$(containerd -c "$candidate" config dump 2>&1 >/dev/null) ||
        refuse "containerd does not accept the new $1: $said"
}

# TOOL [OPTION]
refresh() {
    command -v "$1" >/dev/null || refuse "$1 is not installed"
    touch_lock
    "$@" >/dev/null 9>&- || fail "$1 did not succeed"
    printf '%s rebuilt the store\n' "$1"
}

# UNIT SECONDS
restart_unit() {
    command -v systemctl >/dev/null || refuse "systemctl is not installed"
    # A drop-in that was written or removed makes `cat` fail until it is known.
    systemctl daemon-reload || fail "systemctl daemon-reload failed"
    systemctl cat "$1" >/dev/null 2>&1 || refuse "$1 is not a unit here"
    touch_lock
    was=
    [ "$(systemctl is-active "$1")" = active ] || was=", was not active before"
    systemctl reset-failed "$1" 2>/dev/null || :
    began=$(date +%s)
    timeout "$2" systemctl restart "$1" 9>&- || fail "$1 did not restart: $(systemctl is-active "$1")"
    while [ "$(systemctl is-active "$1")" != active ] || ! answers "$1"; do
        [ $(($(date +%s) - began)) -lt "$2" ] || fail "$1 is not active after $2 s"
        sleep 0.2
    done
    printf '%s restarted, active after %s s%s\n' "$1" $(($(date +%s) - began)) "$was"
}

answers() {
    [ "$1" != containerd.service ] || ! command -v ctr >/dev/null || ctr version >/dev/null 2>&1
}

# NAME POLICY
set_restart_policy() {
    command -v docker >/dev/null || refuse "docker is not installed"
    docker update --restart "$2" "$1" >/dev/null || fail "$1 keeps its restart policy"
    printf 'container %s: restart policy %s\n' "$1" "$2"
}

# NAME SECONDS
restart_container() {
    command -v docker >/dev/null || refuse "docker is not installed"
    docker inspect "$1" >/dev/null || refuse "there is no container $1"
    touch_lock
    began=$(date +%s)
    timeout "$2" docker restart "$1" >/dev/null || fail "container $1 did not restart"
    until [ "$(docker inspect -f '{{.State.Running}}' "$1")" = true ]; do
        [ $(($(date +%s) - began)) -lt "$2" ] || fail "container $1 does not run after $2 s"
        sleep 0.2
    done
    printf 'container %s restarted\n' "$1"
}
