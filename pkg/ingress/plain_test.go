package ingress

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// What is plain, what is left to net/http, and what may become either.
func TestPlainHead(t *testing.T) {
	const host = "host: x\r\n"
	for _, row := range []struct {
		name, bytes string
		want        verdict
	}{
		{"post", "POST /a HTTP/1.1\r\nHost: x:80\r\ncontent-length: 3\r\n\r\nabc", isPlain},
		{"get", "GET /a?b=%zz HTTP/1.1\r\n" + host + "Connection: Keep-Alive\r\n\r\n", isPlain},
		{"close", "GET / HTTP/1.1\r\n" + host + "connection: close\r\n\r\n", isPlain},
		{"longest body", "POST / HTTP/1.1\r\n" + host + "content-length: 262144\r\n\r\n", isPlain},
		{"repeated header", "GET / HTTP/1.1\r\n" + host + "x-a: 1\r\nX-A: 2\r\n\r\n", isPlain},
		{"empty value", "GET / HTTP/1.1\r\n" + host + "x-a:\r\n\r\n", isPlain},

		{"nothing", "", isIncomplete},
		{"half a method", "PO", isIncomplete},
		{"half a line", "POST /a HTTP/1.1", isIncomplete},
		{"half a head", "POST /a HTTP/1.1\r\nhost: x\r\n", isIncomplete},
		{"half an end", "POST /a HTTP/1.1\r\nhost: x\r\n\r", isIncomplete},

		{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", isOther},
		{"start of the preface", "PR", isOther},
		{"start of TLS", "\x16\x03\x01", isOther},
		{"other method", "PUT /a HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"lower case", "get /a HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"http 1.0", "GET /a HTTP/1.0\r\n" + host + "\r\n", isOther},
		{"absolute form", "GET http://x/a HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"asterisk form", "GET * HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"no target", "GET HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"empty target", "GET  HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"space in target", "GET /a b HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"target that is not ASCII", "GET /\xe9 HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"bare LF", "GET /a HTTP/1.1\n" + host + "\r\n", isOther},
		{"bare LF at the end", "GET /a HTTP/1.1\r\n" + host + "\n", isOther},
		{"bare CR", "GET /a HTTP/1.1\r\n" + host + "x: a\rb\r\n\r\n", isOther},
		{"NUL", "GET /a HTTP/1.1\r\n" + host + "x: a\x00\r\n\r\n", isOther},
		{"no host", "GET /a HTTP/1.1\r\nx: a\r\n\r\n", isOther},
		{"two hosts", "GET /a HTTP/1.1\r\n" + host + host + "\r\n", isOther},
		{"odd host", "GET /a HTTP/1.1\r\nhost: a b\r\n\r\n", isOther},
		{"folded", "GET /a HTTP/1.1\r\n" + host + "x: a\r\n b\r\n\r\n", isOther},
		{"blank before colon", "GET /a HTTP/1.1\r\n" + host + "content-length : 3\r\n\r\n", isOther},
		{"no colon", "GET /a HTTP/1.1\r\n" + host + "x\r\n\r\n", isOther},
		{"no name", "GET /a HTTP/1.1\r\n" + host + ": x\r\n\r\n", isOther},
		{"name that is not ASCII", "GET /a HTTP/1.1\r\n" + host + "\xc3\xa9: x\r\n\r\n", isOther},
		{"two lengths", "POST /a HTTP/1.1\r\n" + host + "content-length: 3\r\ncontent-length: 3\r\n\r\n", isOther},
		{"empty length", "POST /a HTTP/1.1\r\n" + host + "content-length: \r\n\r\n", isOther},
		{"signed length", "POST /a HTTP/1.1\r\n" + host + "content-length: +3\r\n\r\n", isOther},
		{"list of lengths", "POST /a HTTP/1.1\r\n" + host + "content-length: 3, 3\r\n\r\n", isOther},
		{"hexadecimal length", "POST /a HTTP/1.1\r\n" + host + "content-length: 0x3\r\n\r\n", isOther},
		{"long body", "POST /a HTTP/1.1\r\n" + host + "content-length: 262145\r\n\r\n", isOther},
		{"endless length", "POST /a HTTP/1.1\r\n" + host + "content-length: 99999999999999999999\r\n\r\n", isOther},
		{"chunked", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", isOther},
		{"length and chunked", "POST /a HTTP/1.1\r\n" + host + "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", isOther},
		{"chunked in a name that ends in a tab", "POST /a HTTP/1.1\r\n" + host + "transfer-encoding\t: chunked\r\n\r\n", isOther},
		{"expect", "POST /a HTTP/1.1\r\n" + host + "expect: 100-continue\r\ncontent-length: 3\r\n\r\n", isOther},
		{"upgrade", "GET /a HTTP/1.1\r\n" + host + "upgrade: h2c\r\n\r\n", isOther},
		{"other connection", "GET /a HTTP/1.1\r\n" + host + "connection: close, x\r\n\r\n", isOther},
		{"two connections", "GET /a HTTP/1.1\r\n" + host + "connection: close\r\nconnection: close\r\n\r\n", isOther},
		{"long line", "GET /" + strings.Repeat("a", plainHeadMax) + " HTTP/1.1\r\n" + host + "\r\n", isOther},
		{"long line without an end", "GET /" + strings.Repeat("a", plainHeadMax), isOther},
		{"long head", "GET /a HTTP/1.1\r\n" + host + strings.Repeat("x: "+strings.Repeat("a", 500)+"\r\n", 17) + "\r\n", isOther},
		{"many headers", "GET /a HTTP/1.1\r\n" + host + strings.Repeat("x: a\r\n", plainHeadersMax) + "\r\n", isOther},
	} {
		var h plainHead
		if got := h.parse([]byte(row.bytes)); got != row.want {
			t.Errorf("%s: verdict %d, want %d", row.name, got, row.want)
		}
	}
}

// FuzzPlainHead holds that what is plain means the same to net/http, and is plain in whatever pieces it comes.
func FuzzPlainHead(f *testing.F) {
	for _, s := range []string{
		"POST /S/h HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\ncontent-length: 3\r\n\r\nabcGET /",
		"GET /O/%2F%zz/h?delay=1s HTTP/1.1\r\nhost: [::1]:80\r\nconnection: close\r\nx-a: 1\r\nX-A: 2\r\n\r\n",
		"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
		"GET / HTTP/1.1\r\nhost: x\r\nx: \t a\xff \r\n b\r\n\r\n",
		"GET / HTTP/1.1\nhost: x\n\n", "GET //x HTTP/1.1\r\nhost:\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
	} {
		f.Add([]byte(s), uint16(len(s)/2))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		var h plainHead
		v := h.parse(bytes.Clone(data))
		var piece plainHead
		at := min(int(cut), len(data))
		switch p := piece.parse(bytes.Clone(data[:at])); {
		case p == isOther && v != isOther, p == isPlain && v != isPlain:
			t.Fatalf("verdict %d of the first %d bytes, then %d", p, at, v)
		case v == isPlain && at < h.size && p != isIncomplete, v == isPlain && at >= h.size && p != isPlain:
			t.Fatalf("verdict %d of the first %d bytes of a head of %d", p, at, h.size)
		}
		if v == isIncomplete && (bytes.Contains(data, []byte("\r\n\r\n")) || len(data) > plainHeadMax) {
			t.Fatal("it waits for more than a head")
		}
		if v != isPlain {
			return
		}
		agreesWithNetHTTP(t, &h, data)
	})
}

func agreesWithNetHTTP(t *testing.T, h *plainHead, data []byte) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(data))
	req, err := http.ReadRequest(r)
	if bad := (*url.Error)(nil); errors.As(err, &bad) {
		return // net/http wants targets to be URLs; the contract takes any escape
	}
	if err != nil {
		t.Fatalf("net/http: %v", err)
	}
	lower := bytes.Clone(data)
	var again plainHead
	again.parse(lower)
	text := string(lower[:h.size])
	method := http.MethodGet
	if h.post {
		method = http.MethodPost
	}
	if req.Method != method || req.RequestURI != h.target.of(text) || req.Proto != "HTTP/1.1" || len(req.TransferEncoding) != 0 ||
		req.ContentLength != int64(h.bodyLength) || req.Close != h.closes {
		t.Fatalf("net/http: %+v, here: %+v", req, h)
	}
	names := map[string]bool{}
	for _, hd := range h.headers {
		name, value := http.CanonicalHeaderKey(hd.name.of(text)), hd.value.of(text)
		names[name] = true
		got := req.Header[name]
		if name == "Host" {
			got = []string{req.Host}
		}
		if name == "Connection" {
			got = []string{value} // compared above
		}
		if len(got) == 0 || got[0] != value {
			t.Fatalf("%s is %q to net/http and %q here", name, got, value)
		}
	}
	for name := range req.Header {
		if !names[name] {
			t.Fatalf("net/http has a header %s", name)
		}
	}
	body, err := io.ReadAll(req.Body)
	rest, _ := io.ReadAll(r)
	after := data[h.size:]
	if len(after) < h.bodyLength {
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(body, after) {
			t.Fatalf("a cut body: %q, %v", body, err)
		}
		return
	}
	if err != nil || !bytes.Equal(body, after[:h.bodyLength]) || !bytes.Equal(rest, after[h.bodyLength:]) {
		t.Fatalf("body %q and rest %q to net/http, %d bytes of %q here (%v)", body, rest, h.bodyLength, after, err)
	}
}
