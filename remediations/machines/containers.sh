# What a repair may do with a container: functions, after those of operations.sh.

by_podman="podman's containers are not made anew from here: podman inspect --format '{{.Config.CreateCommand}}' shows how one was made"

docker_here() {
    if command -v docker >/dev/null; then
        case $(docker --version 2>/dev/null) in
            *odman*) refuse "$by_podman" ;;
        esac
    else
        ! command -v podman >/dev/null || refuse "$by_podman"
        refuse "docker is not installed"
    fi
}

container_id() {
    docker inspect --type container --format '{{.Id}}' -- "$1" 2>/dev/null
}

# NAME: inspect as base64, the id of the image that its name means now, the engine's API, diff.
container_look() {
    docker_here
    seen=$(docker inspect --type container -- "$1" 2>/dev/null) ||
        refuse "$(docker inspect --type container -- "$1" 2>&1 >/dev/null)"
    printf '%s' "$seen" | b64
    image=$(docker inspect --type container --format '{{.Config.Image}}' -- "$1")
    printf '\n%s\n' "$(docker image inspect --format '{{.Id}}' -- "$image" 2>/dev/null)"
    docker version --format '{{.Client.APIVersion}}' || refuse "docker does not answer"
    docker diff -- "$1" || refuse "docker cannot tell what container $1 has changed in itself"
}

# METHOD PATH, a body of ASCII on standard input: the engine's answer as base64. The docker
# program carries it, so that its DOCKER_HOST and context count; no other program is needed.
engine_call() {
    docker_here
    touch_lock
    body=$(base64 -d)
    private "$state_dir"
    rm -f "$state_dir"/.engine-*
    pipe=$state_dir/.engine-$$
    mkfifo "$pipe" || refuse "$pipe cannot be made"
    # Held open: at an end of its input the engine takes the call for given up.
    exec 4<>"$pipe"
    rm -f "$pipe"
    printf '%s %s HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        "$1" "$2" "${#body}" "$body" >&4 2>/dev/null &
    writer=$!
    timeout 60 docker system dial-stdio <&4 | b64
    kill "$writer" 2>/dev/null || :
}

# NAME VOLUME...: removes what a run that was cut off has made there, if it never ran.
container_sweep() {
    docker_here
    [ -n "$(container_id "$1")" ] || return 0
    never_ran "$1" || refuse "there is a container $1, which ran: rename or remove it"
    container_discard "$@"
}

# NAME...: refuses a volume that is there; what a run that was cut off copied may be among them.
volumes_absent() {
    docker_here
    for volume do
        ! docker volume inspect -- "$volume" >/dev/null 2>&1 ||
            refuse "there is a volume $volume already, and it may hold images: see what is in it, then docker volume rm $volume"
    done
}

# NAME VOLUME...: a container that never ran, and volumes that were made for it
container_discard() {
    docker rm -- "$1" >/dev/null || fail "container $1 cannot be removed"
    shift
    for volume do
        docker volume rm -- "$volume" >/dev/null 2>&1 || :
    done
}

# ID SECONDS: with a policy, the engine would start it beside the new one after a reboot.
container_stop() {
    touch_lock
    docker update --restart=no -- "$1" >/dev/null || fail "container $1 keeps its restart policy"
    timeout "$2" docker stop -- "$1" >/dev/null || fail "container $1 does not stop"
}

# ID PATH: SHA-256 of names, modes, owners, times and contents; the engine walks in order. The
# first header's time and its sum (20 bytes) are left out: the folder itself is as old as the copy.
# What could not be read to its end is like nothing else.
data_sum() {
    summed=$({ docker cp -a -- "$1:$2/." - 2>/dev/null || printf 'cut off in %s' "$1"; } | {
        dd bs=1 count=136 2>/dev/null
        dd bs=1 count=20 of=/dev/null 2>/dev/null
        cat
    } | sha256sum)
    printf '%s' "${summed%% *}"
}

# OLD NEW PATH: copies what the one has at PATH into the other, and compares
container_copy() {
    # Ends with this shell, and holds none of its pipes open.
    while sleep 60 && kill -0 $$; do touch_lock; done </dev/null >/dev/null 2>&1 &
    ticking=$!
    trap 'kill "$ticking" 2>/dev/null' EXIT
    size=$(docker cp -a -- "$1:$3/." - | wc -c)
    [ "$size" -gt 0 ] || fail "container $1 has nothing at $3"
    root=$(docker info --format '{{.DockerRootDir}}')
    free=$(df -Pk -- "$root" | awk 'NR == 2 { print $4 }')
    [ -n "$free" ] || fail "the room in $root is not known here"
    [ $((size / 1024 + 65536)) -lt "$free" ] ||
        fail "$3 holds $((size / 1048576)) MiB, and $root has $((free / 1024)) MiB free"
    docker cp -a -- "$1:$3/." - | docker cp -a - "$2:$3" || fail "$3 was not copied to its end"
    sum=$(data_sum "$1" "$3")
    [ "$sum" = "$(data_sum "$2" "$3")" ] || fail "the copy of $3 is not like it"
    printf '%s\n' "$size"
}

# ID SECONDS: it runs, and still does after 3 s; the engine may start one that ends at once again
container_runs() {
    began=$(date +%s)
    steady=0
    until [ "$steady" -ge 3 ]; do
        now=$(docker inspect --type container \
            --format '{{.State.Running}} {{.State.Restarting}} {{.RestartCount}} {{.State.StartedAt}}' -- "$1")
        case $now in
            'true false 0 '*) steady=$((steady + 1)) ;;
            *) steady=0 ;;
        esac
        case $now in
            'false false '*) [ $(($(date +%s) - began)) -lt 2 ] || return 1 ;;
        esac
        [ "$steady" -gt 0 ] || [ $(($(date +%s) - began)) -lt "$2" ] || return 1
        sleep 1
    done
}

# The last word of a registry that ended; other lines may hold a password that it made up.
last_word() {
    docker logs --tail 20 -- "$1" 2>&1 | grep -E 'level=fatal|panic:|^open |^Error' | tail -n 1 | cut -c 1-300
}

# NAME OLD NEW BACKUP SECONDS
container_switch() {
    touch_lock
    docker rename -- "$2" "$4" || fail "container $1 cannot be renamed to $4"
    docker rename -- "$3" "$1" || fail "container $3 cannot be renamed to $1"
    said=$(docker start -- "$1" 2>&1 >/dev/null) || fail "the new container $1 does not start: $said"
    container_runs "$1" "$5" || fail "the new container $1 does not run: $(last_word "$1")"
    printf 'container %s made anew; the former is kept as %s (docker rm -v %s, once nobody wants it back)\n' \
        "$1" "$4" "$4"
}

# NAME OLD NEW BACKUP POLICY RAN SECONDS then VOLUME PATH pairs. NEW is an id, or the name under
# which it was made; '' where neither is known.
container_restore() {
    docker_here
    touch_lock
    name=$1 old=$2 made=$3 new=$(container_id "$3") backup=$4 policy=$5 ran=$6 seconds=$7
    shift 7
    [ "$(container_id "$old")" = "$old" ] ||
        refuse "the former container of $name is gone: it cannot be put back"
    now=$(container_id "$name")
    # Cut off after the switch: the one that has the name is the one that was made.
    if [ -z "$new" ] && [ "$made" = "$name.gapcheck-new" ] && [ "$(container_id "$backup")" = "$old" ]; then
        new=$now
    fi
    case $now in
        '' | "$old" | "$new") ;;
        *) refuse "there is another container $name by now: rename it first" ;;
    esac
    kept=
    if [ -n "$new" ] && [ "$new" != "$old" ]; then
        timeout "$seconds" docker stop -- "$new" >/dev/null || fail "the new container $name does not stop"
        spare=
        while [ $# -gt 1 ]; do
            if never_ran "$new" || [ "$(data_sum "$old" "$2")" = "$(data_sum "$new" "$2")" ]; then
                spare="$spare $1"
            else
                kept="$kept; volume $1 stays, as it was written to since"
            fi
            shift 2
        done
        # Written before the container goes: a run that is cut off here still knows them.
        printf '%s' "$spare" >"$state_dir/.spare-$old"
        docker rm -- "$new" >/dev/null || fail "the new container $name cannot be removed"
    fi
    if [ -f "$state_dir/.spare-$old" ]; then
        for volume in $(cat "$state_dir/.spare-$old"); do
            ! docker volume inspect -- "$volume" >/dev/null 2>&1 || docker volume rm -- "$volume" >/dev/null ||
                kept="$kept; volume $volume stays, as it is in use"
        done
        rm -f "$state_dir/.spare-$old"
    fi
    if [ "$(container_id "$name")" != "$old" ]; then
        docker rename -- "$old" "$name" || fail "container $backup cannot be renamed to $name"
    fi
    docker update --restart="$policy" -- "$old" >/dev/null || fail "container $name keeps its restart policy"
    if [ "$ran" = true ]; then
        timeout "$seconds" docker start -- "$old" >/dev/null || fail "container $name does not start"
        container_runs_again "$old" "$seconds" || fail "container $name does not run"
    fi
    printf 'container %s is the former one again%s\n' "$name" "$kept"
}

never_ran() {
    case $(docker inspect --type container --format '{{.State.StartedAt}}' -- "$1") in
        0001-*) return 0 ;;
    esac
    return 1
}

container_runs_again() {
    began=$(date +%s)
    until [ "$(docker inspect --type container --format '{{.State.Running}}' -- "$1")" = true ]; do
        [ $(($(date +%s) - began)) -lt "$2" ] || return 1
        sleep 0.2
    done
}

# NAME OLD NEW: a word where they are not as the run left them
container_foreign() {
    docker_here
    if [ "$(container_id "$2")" != "$2" ]; then
        printf 'the former container of %s, which is gone' "$1"
        return
    fi
    now=$(container_id "$1")
    if [ -n "$now" ] && [ "$now" != "$3" ] && [ "$now" != "$2" ]; then
        printf 'container %s, which is not the one that the run made' "$1"
    fi
}
