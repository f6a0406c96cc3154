// Package invokertest is an endpoint that tests play the handlers of.
//
//	uri := invokertest.Serve(t, func(p *invokertest.Peer) {
//		p.Send(partitiontest.Output(p.Input()), partitiontest.End())
//	})
package invokertest
