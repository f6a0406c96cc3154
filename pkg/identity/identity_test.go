package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
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

// Keys that hold their public half (PKCS#8 of version 2), with text around the block, are taken.
func TestKeyFiles(t *testing.T) {
	block, _ := pem.Decode([]byte(testKey))
	var v1 struct {
		Version   int
		Algorithm asn1.RawValue
		Key       []byte
	}
	if _, err := asn1.Unmarshal(block.Bytes, &v1); err != nil {
		t.Fatal(err)
	}
	seed := sha256.Sum256([]byte("reprise-test-vector"))
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	v2, err := asn1.Marshal(struct {
		Version   int
		Algorithm asn1.RawValue
		Key       []byte
		Public    asn1.BitString `asn1:"tag:1"`
	}{1, v1.Algorithm, v1.Key, asn1.BitString{Bytes: public, BitLength: 8 * len(public)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"version 2": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: v2})),
		"text":      "the key of production\n" + testKey + "\n\n# end\n",
		"CRLF":      strings.ReplaceAll(testKey, "\n", "\r\n"),
	} {
		s, err := NewSigner([]byte(file), time.Minute, hosttest.NewClock())
		if err != nil || s.PublicKey() != "publickeyv1_J1CZvS1sMepqYLwSie2a5ZfouYAFykWEZuZZ1QdEsfqK" {
			t.Errorf("%s: %v", name, err)
		}
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
