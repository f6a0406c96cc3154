package ingress

import (
	"context"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/serviceproto"
)

// awakeable serves /restate/awakeables/ID/resolve and .../reject; what follows is ignored. The answer does not tell whether
// somebody waited: a completion is fire and forget.
func (x *exchange) awakeable(ctx context.Context, tail []string) (Response, *failure) {
	if len(tail) < 2 {
		return Response{}, errBadAwakeableShape
	}
	if tail[1] != "resolve" && tail[1] != "reject" {
		return Response{}, errNotFound
	}
	if x.req.Method != methodPost {
		return Response{}, errMethod
	}
	i, index, legacy, err := id.ParseAwakeable(tail[0])
	if err != nil {
		return Response{}, failf(statusBadRequest, "bad awakeable id '%s': %s", tail[0], err)
	}
	rec, f := x.signal(i, index, tail[1] == "resolve")
	if f != nil {
		return Response{}, f
	}
	done := Response{Status: statusAccepted}
	if legacy {
		return done, nil // only protocols older than any that we speak made such ids: nobody waits
	}
	if _, f := x.g.do(ctx, command.Request{ID: i, Record: rec, Want: command.WantAccepted}, retryWrite); f != nil {
		return Response{}, f
	}
	return done, nil
}

// signal makes the record that completes an awakeable with the request's body.
func (x *exchange) signal(i id.Invocation, index uint32, resolve bool) ([]byte, *failure) {
	defer x.req.Body.Release()
	body, f := x.body()
	if f != nil {
		return nil, f
	}
	var frame []byte
	if resolve {
		frame = serviceproto.AppendSignalValue(nil, index, body)
	} else {
		frame = serviceproto.AppendSignalFailure(nil, index, &storedv1.Failure{
			Code: statusInternal, Message: strings.ToValidUTF8(string(body), "\uFFFD"),
		})
	}
	rec, err := command.Append(nil, command.Header{Kind: command.Signal, Frames: 1, ID: i}, nil, frame)
	if err != nil {
		return nil, failf(statusBadRequest, "the request cannot be stored: %s", err)
	}
	return rec, nil
}
