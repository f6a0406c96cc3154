package invoker

import (
	"encoding/binary"
	"net/http"
	"testing"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/invoker/invokertest"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

type peer = invokertest.Peer

// endpoint serves attempts with f; p has begun unless raw is set. It speaks HTTP/1.1, too.
func endpoint(t *testing.T, f func(p *peer), raw bool, protocols ...func(*http.Protocols)) string {
	t.Helper()
	return invokertest.ServeWith(t, invokertest.Options{Raw: raw, Protocols: func(p *http.Protocols) {
		p.SetHTTP1(true)
		for _, set := range protocols {
			set(p)
		}
	}}, f)
}

// Messages that endpoints send.

func flagged(f []byte) []byte {
	f = append([]byte(nil), f...)
	binary.BigEndian.PutUint16(f[2:], serviceproto.FlagRequestedAck)
	return f
}

func proposal(completion uint32, value string) []byte {
	return partitiontest.Frame(serviceproto.TypeProposeRunCompletion, &servicev1.ProposeRunCompletion{
		ResultCompletionId: completion, Result: &servicev1.ProposeRunCompletion_Value{Value: []byte(value)},
	})
}

func failedProposal(completion, code uint32, message string) []byte {
	return partitiontest.Frame(serviceproto.TypeProposeRunCompletion, &servicev1.ProposeRunCompletion{
		ResultCompletionId: completion, Result: &servicev1.ProposeRunCompletion_Failure{Failure: &servicev1.Failure{Code: code, Message: message}},
	})
}

func errorMessage(e *servicev1.Error) []byte { return partitiontest.Frame(serviceproto.TypeError, e) }
