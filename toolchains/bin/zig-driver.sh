# Sourced by zig-cc and zig-c++, which set `driver`: runs zig's clang, spoken to as GCC.
#
#   zig-cc [--zig=PROGRAM] ARGUMENTS…
#
# zig wants the processor as -mcpu= in spellings of its own where GCC and Clang take
# -march=; everything else passes through. A build starts this about a thousand times, so
# it uses the shell's own words only: no other program is started before zig.

case $1 in
    --zig=*) zig=${1#--zig=}; shift ;;
    *) zig=${DX_ZIG:-zig} ;;
esac

# Sets `cpu` to zig's words for the GCC spelling $1; empty where zig has none.
translate_march() {
    IFS=+
    set -f
    # shellcheck disable=SC2086
    set -- $1
    set +f
    unset IFS
    case $1 in
        armv[89]-a | armv[89].[0-9]-a) translate_arm "$@" ;;
        rv32g* | rv64g*) translate_riscv "$1" ;;
        *) cpu= ;;
    esac
}

translate_arm() {
    version=${1#armv}
    version=${version%-a}
    shift
    cpu=generic
    case $version in
        8) ;;
        9) cpu=$cpu+v9a ;;
        *) cpu=$cpu+v${version%.*}_${version#*.}a ;;
    esac
    for feature do
        case $feature in
            fp16) feature=fullfp16 ;;
            simd) feature=neon ;;
            crypto) feature=aes+sha2 ;;
            no*) cpu=$cpu-${feature#no}; continue ;;
        esac
        cpu=$cpu+$feature
    done
}

translate_riscv() {
    letters=${1%%_*}
    rest=${1#"$letters"}
    cpu=baseline_${letters%%g*}
    case $letters in *v) cpu=$cpu+v ;; esac
    while [ -n "$rest" ]; do
        rest=${rest#_}
        cpu=$cpu+${rest%%_*}
        case $rest in *_*) rest=_${rest#*_} ;; *) rest= ;; esac
    done
}

case " $* " in
    *" -march="*)
        for argument do
            shift
            case $argument in
                -march=*)
                    translate_march "${argument#-march=}"
                    [ -z "$cpu" ] || argument=-mcpu=$cpu
                    ;;
            esac
            set -- "$@" "$argument"
        done
        ;;
esac

# Without -O zig would compile its C++ library a second time (a minute, for CMake's first
# probe alone) and turn on traps for undefined behaviour; a later -fsanitize still wins.
case " $* " in
    *" -O"*) ;;
    *) set -- -O2 "$@" ;;
esac

# Conan names the C++ library, which zig has only one of: no warning for that.
exec "$zig" "$driver" -fno-sanitize=undefined -Wno-unused-command-line-argument "$@"
