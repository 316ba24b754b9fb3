#!/bin/sh
# Builds the TensorRT plan of this policy on the machine that will run it, with trtexec.
#
#   sh tensorrt/build_engine.sh [--precision fp32|fp16] [--output FOLDER] [--measure] [--force]
#
# The plan goes beside the bundle (BUNDLE.engines/tensorrt-PRECISION), because the bundle's own
# files are fixed by their hashes; a stamp beside it says what it was built with. --measure times
# it. Every setting that TensorRT's versions have another default for is given explicitly.
set -eu
LC_ALL=C
export LC_ALL

NAME='@NAME@'
FEATURES='@FEATURES@'
MAX_BATCH='@MAX_BATCH@'
SHA256_FP32='@SHA256_FP32@'
SHA256_FP16='@SHA256_FP16@'
# What a TensorRT without strongly typed networks (before 10) has to be told to keep in float32.
FLOAT32_LAYERS='@FLOAT32_LAYERS@'
RELEASE_FILE=${NV_TEGRA_RELEASE:-/etc/nv_tegra_release}

fail() {
    printf 'build_engine: %s\n' "$1" >&2
    exit "${2:-1}"
}

usage='usage: build_engine.sh [--precision fp32|fp16] [--output FOLDER] [--measure] [--force]'
precision=fp32 output='' measure=no force=no
while [ $# -gt 0 ]; do
    case $1 in
        --precision | --output)
            [ $# -ge 2 ] || fail "$1 needs a value; $usage" 2
            if [ "$1" = --output ]; then output=$2; else precision=$2; fi
            shift
            ;;
        --measure) measure=yes ;;
        --force) force=yes ;;
        -h | --help)
            echo "$usage"
            exit 0
            ;;
        *) fail "unknown argument '$1'; $usage" 2 ;;
    esac
    shift
done

bundle=$(cd "$(dirname "$0")/.." && pwd -P)
case $precision in
    fp32) onnx=$bundle/policy.onnx sha256=$SHA256_FP32 ;;
    fp16) onnx=$bundle/policy.fp16.onnx sha256=$SHA256_FP16 ;;
    *) fail "there is no precision '$precision': choose fp32 or fp16" 2 ;;
esac
[ -n "$sha256" ] || fail "this policy's weights do not fit float16: use --precision fp32"
[ -f "$onnx" ] || fail "$onnx is missing: copy the bundle again"
found=$(sha256sum "$onnx")
[ "${found%% *}" = "$sha256" ] || fail "$onnx is not what was exported: copy the bundle again"

there() {
    [ -e "$1" ] || [ -L "$1" ]
}

output=${output:-$bundle.engines/tensorrt-$precision}
# With a slash at its end the names made from it below would lie in the folder itself.
while [ "${output%/}" != "$output" ] && [ "$output" != / ]; do output=${output%/}; done
if there "$output"; then
    [ $force = yes ] || fail "$output exists: pass --force to replace it, or choose another --output"
    [ -f "$output/stamp.json" ] || fail "$output holds no stamp.json, so it will not be replaced"
fi

# --- which trtexec, which version -------------------------------------------------------------

trtexec=${TRTEXEC:-$(command -v trtexec || true)}
[ -n "$trtexec" ] || trtexec=/usr/src/tensorrt/bin/trtexec
[ -x "$trtexec" ] || fail "trtexec was not found (looked on PATH and in /usr/src/tensorrt/bin): \
install it with  sudo apt install libnvinfer-bin , or set TRTEXEC"
help=$("$trtexec" --help 2>&1 || true)

# The banner says "TensorRT v8502" for 8.5.2, "TensorRT v101602" for 10.16.2.
number=$(printf '%s\n' "$help" | sed -n 's/.*TensorRT v\([0-9.]*\).*/\1/p' | head -n 1)
case $number in
    '') fail "$trtexec does not tell its version: is it TensorRT's?" ;;
    *.*) version=$number ;;
    *)
        if [ "$number" -ge 100000 ]; then unit=10000; else unit=1000; fi
        version=$((number / unit)).$((number % unit / 100)).$((number % 100))
        ;;
esac
major=${version%%.*}
[ "$major" -ge 8 ] || fail "TensorRT $version is too old: 8.5 or newer is needed"

has() {
    printf '%s\n' "$help" | grep -Eq -e "(^|[^A-Za-z0-9-])--$1([^A-Za-z0-9]|\$)"
}

# --- build ------------------------------------------------------------------------------------

mkdir -p "$(dirname "$output")"
work=$output.tmp.$$ old=$output.old.$$
clean() {
    rm -rf "$work"
    if there "$old"; then
        if there "$output"; then rm -rf "$old"; else mv "$old" "$output"; fi
    fi
}
trap clean EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work"

shape() {
    printf '%s=observation:%sx%s' "$1" "$2" "$FEATURES"
}

has noTF32 || fail "TensorRT $version: trtexec cannot turn TF32 off, and float32 would be rounded"
set -- "--onnx=$onnx" "--saveEngine=$work/policy.plan" "--timingCacheFile=$work/timing.cache" \
    "$(shape --minShapes 1)" "$(shape --optShapes 1)" "$(shape --maxShapes "$MAX_BATCH")" --noTF32
if has stronglyTyped; then
    set -- "$@" --stronglyTyped # TensorRT 10; 11 knows nothing else
elif [ "$major" -lt 10 ] && [ "$precision" = fp16 ]; then
    set -- "$@" --fp16 --precisionConstraints=obey "--layerPrecisions=$FLOAT32_LAYERS"
fi
if has skipInference; then set -- "$@" --skipInference; else set -- "$@" --buildOnly; fi

echo "building with TensorRT $version: this takes a minute"
if ! "$trtexec" "$@" >"$work/build.log" 2>&1 || [ ! -s "$work/policy.plan" ]; then
    grep -F '[E]' "$work/build.log" >&2 || tail -n 5 "$work/build.log" >&2
    fail "TensorRT $version could not build the plan; what it said is above"
fi

# --- stamp ------------------------------------------------------------------------------------

capability=$(sed -n 's/.*Compute Capability: *\([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' \
    "$work/build.log" | head -n 1)
[ -n "$capability" ] || fail "trtexec does not tell the GPU's compute capability: see $trtexec"
l4t=$(sed -n 's/^# *R\([0-9]*\).*REVISION: *\([0-9.]*\).*/\1.\2/p' "$RELEASE_FILE" 2>/dev/null |
    head -n 1 || true)
if [ -z "$l4t" ]; then
    l4t=$(dpkg-query --show --showformat='${Version}' nvidia-l4t-core 2>/dev/null |
        sed 's/[^0-9.].*//' || true)
fi
plan_sha256=$(sha256sum "$work/policy.plan")
cat >"$work/stamp.json" <<STAMP
{
  "schema": 1,
  "flavor": "tensorrt",
  "tensorrt": "$version",
  "compute_capabilities": [
    "$capability"
  ],
  "l4t": $(if [ -n "$l4t" ]; then printf '"%s"' "$l4t"; else printf null; fi),
  "platform": "$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m)",
  "precision": "$precision",
  "onnx_sha256": "$sha256",
  "plan_sha256": "${plan_sha256%% *}"
}
STAMP

# --- measure ----------------------------------------------------------------------------------

# As a control loop runs it: CUDA graph on, no spinning, data transfers counted. Versions differ in
# what is the default, and name only the other one; what is not named is the default.
if [ $measure = yes ]; then
    set -- "--loadEngine=$work/policy.plan" "$(shape --shapes 1)"
    if has useCudaGraph; then set -- "$@" --useCudaGraph; fi
    if has noSpinWait; then set -- "$@" --noSpinWait; fi
    if has includeDataTransfers; then set -- "$@" --includeDataTransfers; fi
    "$trtexec" "$@" >"$work/measure.log" 2>&1 || {
        tail -n 5 "$work/measure.log" >&2
        fail "the plan was built but does not run; what TensorRT said is above"
    }
    grep -E 'Latency:|Throughput:' "$work/measure.log" || true
fi

# Whatever goes wrong or is interrupted in between, the old plan is put back.
if there "$output"; then mv "$output" "$old"; fi
mv "$work" "$output"
rm -rf "$old"
echo "$NAME: $output/policy.plan"
echo "  TensorRT $version, compute capability $capability, L4T ${l4t:-none}, $precision"
echo "next: dspctl verify $bundle   # runs the golden vectors through it"
