package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"reprise/pkg/host/hosttest"
)

// testKey is the vector of the contract; never a production key.
const testKey = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIItTyHZG0QLlNGvCx6T3Q1CCrHPDJD23nnFlLlRx2jml
-----END PRIVATE KEY-----
`

func TestSigner(t *testing.T) {
	clock := hosttest.NewClock()
	s, err := NewSigner([]byte(testKey), time.Minute, clock)
	if err != nil {
		t.Fatal(err)
	}
	if s.PublicKey() != "publickeyv1_J1CZvS1sMepqYLwSie2a5ZfouYAFykWEZuZZ1QdEsfqK" {
		t.Fatalf("public key %s", s.PublicKey())
	}
	text := s.Token("/invoke/S/h", "a key")
	parts := strings.Split(text, ".")
	decode := func(part string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	seed := sha256.Sum256([]byte("reprise-test-vector"))
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, []byte(parts[0]+"."+parts[1]), decode(parts[2])) {
		t.Fatal("the signature does not verify")
	}
	var header map[string]string
	var got map[string]any
	if json.Unmarshal(decode(parts[0]), &header) != nil || json.Unmarshal(decode(parts[1]), &got) != nil {
		t.Fatal("no JSON")
	}
	now := float64(clock.Now().Unix())
	if header["alg"] != "EdDSA" || header["typ"] != "JWT" || header["kid"] != s.PublicKey() {
		t.Errorf("header %v", header)
	}
	if got["aud"] != "/invoke/S/h" || got["sub"] != "a key" || got["iat"] != now || got["nbf"] != now-60 || got["exp"] != now+60 {
		t.Errorf("claims %v", got)
	}
	clock.Advance(30 * time.Second)
	if s.Token("/invoke/S/h", "a key") != text {
		t.Error("a token that is valid was not used again")
	}
	clock.Advance(time.Second)
	if s.Token("/invoke/S/h", "a key") == text || s.Token("/invoke/S/h", "") == s.Token("/invoke/S/h", "a key") {
		t.Error("an old token was used again")
	}
}

func TestSignerRefusesKeys(t *testing.T) {
	clock := hosttest.NewClock()
	const rsa = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"
	for name, file := range map[string]string{"empty": "", "text": "key", "two": testKey + testKey, "other": rsa} {
		if _, err := NewSigner([]byte(file), time.Minute, clock); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewSigner([]byte(testKey), 0, clock); err == nil {
		t.Error("an expiration of 0 was taken")
	}
}
