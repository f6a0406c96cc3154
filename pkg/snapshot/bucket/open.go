package bucket

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"

	"reprise/pkg/errs"
)

// Config is where an object store is, and how it is reached.
type Config struct {
	// Destination is s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder.
	Destination string
	// AWS is for s3. What is empty comes from the environment and files of the AWS tools. For gs and az all comes from the
	// environment and files of the tools of Google and Azure; docs/operations.md lists them.
	AWS AWS
}

// AWS is about s3 and stores that speak it.
type AWS struct {
	Profile         string
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	EndpointURL     string // of a store that is not AWS
	AllowHTTP       bool   // the endpoint may be reached without TLS
}

// Open opens the folder of an object store. It asks it nothing yet.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	u, err := url.Parse(c.Destination)
	if err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errs.Newf(errs.Invalid, "worker.snapshots.destination: only a bucket and a prefix may stand in it")
	}
	if u.Scheme == "file" {
		if u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return nil, errs.Newf(errs.Invalid, "worker.snapshots.destination: a folder is written file:///path")
		}
		return File(filepath.FromSlash(u.Path))
	}
	open := drivers[u.Scheme]
	if open == nil {
		return nil, errs.Newf(errs.Invalid, "worker.snapshots.destination: %q is none of s3, gs, az, file", u.Scheme)
	}
	if u.Host == "" {
		return nil, errs.Newf(errs.Invalid, "worker.snapshots.destination: it names no bucket")
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	b, err := open(ctx, place{bucket: u.Host, prefix: prefix}, c)
	if err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	return &Bucket{b}, nil
}

// place is a folder of a service.
type place struct {
	bucket string
	prefix string // of keys: empty, or it ends in a slash
}

// in is the folder of an opened bucket.
func (p place) in(b *blob.Bucket) *blob.Bucket {
	if p.prefix == "" {
		return b
	}
	return blob.PrefixedBucket(b, p.prefix)
}

// drivers by scheme.
var drivers = map[string]func(ctx context.Context, at place, c Config) (store, error){
	"s3": openS3,
	"gs": openGCS,
	"az": openAzure,
}
