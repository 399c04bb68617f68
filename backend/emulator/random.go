package emulator

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
)

// Random is a source of repeatable bytes, which depend on a seed and a name. It is not for real secrets. It
// is safe for concurrent use, but concurrent callers do not get their bytes in a repeatable order.
type Random struct {
	mu     sync.Mutex
	source *rand.ChaCha8
}

// newRandom returns the stream of bytes of one name. Each name has a stream of its own, so that a vendor's
// root credentials do not depend on the other vendors that the server serves.
func newRandom(seed uint64, name string) *Random {
	key := binary.BigEndian.AppendUint64(nil, seed)
	return &Random{source: rand.NewChaCha8(sha256.Sum256(append(key, name...)))}
}

// Bytes returns n bytes.
func (r *Random) Bytes(n int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := make([]byte, n)
	_, _ = r.source.Read(b) // its documentation says that it never fails
	return b
}

// Hex returns n bytes as 2n lower-case hexadecimal digits.
func (r *Random) Hex(n int) string { return hex.EncodeToString(r.Bytes(n)) }

// String returns n characters of alphabet, which must be ASCII and at most 256 long.
func (r *Random) String(alphabet string, n int) string {
	b := r.Bytes(n)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// UUID returns a random UUID in the canonical form, with the version (1 to 8) in its version field.
func (r *Random) UUID(version byte) string {
	b := r.Bytes(16)
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
