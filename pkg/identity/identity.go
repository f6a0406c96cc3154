package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host"
)

// Signer proves to endpoints that requests come from this cluster: a JSON web token in each request,
// signed with an Ed25519 key whose public half the endpoints know.
type Signer struct {
	key        ed25519.PrivateKey
	public     string
	expiration time.Duration
	clock      host.Clock
	header     string // of each token, encoded

	// mu guards tokens. It is a leaf.
	mu     sync.Mutex
	tokens map[tokenKey]token
}

type tokenKey struct{ audience, subject string }

type token struct {
	text   string
	issued int64 // Unix seconds
}

// tokensMax bounds the tokens that are kept for reuse.
const tokensMax = 4096

// Headers that carry the proof.
const (
	HeaderScheme = "x-restate-signature-scheme"
	HeaderToken  = "x-restate-jwt-v1"
	Scheme       = "v1"
)

// NewSigner takes a PKCS#8 private key, the only block of a PEM file
// (request-identity-private-key-pem-file, request-identity-expiration).
func NewSigner(pemFile []byte, expiration time.Duration, clock host.Clock) (*Signer, error) {
	block, rest := pem.Decode(pemFile)
	if block == nil {
		return nil, errs.Newf(errs.Invalid, "the request identity key is no PEM file")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errs.Newf(errs.Invalid, "the request identity key file has more than one PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errs.With(errs.Invalid, fmt.Errorf("request identity key: %w", err))
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errs.Newf(errs.Invalid, "the request identity key is of type %T, not Ed25519", parsed)
	}
	if expiration < time.Second {
		return nil, errs.Newf(errs.Invalid, "request-identity-expiration %s is below one second", expiration)
	}
	s := &Signer{key: key, expiration: expiration, clock: clock, tokens: map[tokenKey]token{}}
	s.public = "publickeyv1_" + base58(key.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // it is one
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": "EdDSA", "kid": s.public})
	if err != nil {
		return nil, fmt.Errorf("token header: %w", err)
	}
	s.header = base64.RawURLEncoding.EncodeToString(header)
	return s, nil
}

// PublicKey is what endpoints are configured with.
func (s *Signer) PublicKey() string { return s.public }

// claims of a token.
type claims struct {
	Audience  string `json:"aud"`
	Issued    int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Subject   string `json:"sub,omitempty"`
}

// Token returns a token for a path without the base path of its deployment. subject is the key of a
// keyed invocation. A token is used again for half of its life.
func (s *Signer) Token(audience, subject string) string {
	now, life := s.clock.Now().Unix(), int64(s.expiration/time.Second)
	k := tokenKey{audience, subject}
	s.mu.Lock()
	t, ok := s.tokens[k]
	s.mu.Unlock()
	if age := now - t.issued; ok && age >= 0 && age <= life/2 {
		return t.text
	}
	body, err := json.Marshal(claims{Audience: audience, Issued: now, NotBefore: now - life, Expires: now + life, Subject: subject})
	if err != nil {
		return "" // a struct of strings and numbers: cannot be
	}
	text := s.header + "." + base64.RawURLEncoding.EncodeToString(body)
	text += "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.key, []byte(text)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) >= tokensMax {
		clear(s.tokens)
	}
	s.tokens[k] = token{text: text, issued: now}
	return text
}

// base58 encodes in the alphabet of Bitcoin.
func base58(b []byte) string {
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var out []byte
	n, radix, digit := new(big.Int).SetBytes(b), big.NewInt(58), new(big.Int)
	for n.Sign() > 0 {
		n.DivMod(n, radix, digit)
		out = append(out, alphabet[digit.Int64()])
	}
	for i := 0; i < len(b) && b[i] == 0; i++ {
		out = append(out, alphabet[0])
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return string(out)
}
