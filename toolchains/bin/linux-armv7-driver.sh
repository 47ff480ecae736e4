# Sourced by linux-armv7-cc and -c++, which set `driver`: the processor is an ARMv7-A with NEON,
# and what GCC calls its floating point unit (-mfpu=, the last one counts) becomes a feature of
# it, as zig wants. Apart from zig-driver.sh, so that a change here recompiles no other target.

fpu=+neon
case " $* " in
    *" -mfpu="*)
        for argument do
            shift
            case $argument in
                -mfpu=neon) fpu=+neon; continue ;;
                -mfpu=neon-vfpv4) fpu=+neon+vfp4; continue ;;
            esac
            set -- "$@" "$argument"
        done
        ;;
esac

# --zig=PROGRAM stays the first word, where zig-cc looks for it.
first=$1
shift
exec "${0%/*}/$driver" "$first" "-mcpu=generic+v7a$fpu" "$@"
