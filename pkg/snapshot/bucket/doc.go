// Package bucket opens object stores for snapshots: s3://, gs://, az://, file:// and memory.
//
// It is gocloud.dev/blob, and what that lacks: to replace an object only if it is still the version that was read. S3 and
// Azure do it by a condition in the request, which their drivers let us set; files and memory by a lock, under which
// the object is read again. Google's service is asked by its JSON API: the library that gocloud.dev has for it is too large.
package bucket
