// Package bucket opens object stores for snapshots: s3://, gs://, az://, file:// and memory.
//
// It is gocloud.dev/blob, and what that lacks: to replace an object only if it is still the version that was read. The
// clouds do it by a condition in the request, which their drivers let us set; files and memory by a lock, under which
// the object is read again.
package bucket
