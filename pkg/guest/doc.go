// Package guest ends the streams of a gRPC server that stops and that would not end by themselves.
//
// A server that stops gracefully waits until all that was asked is answered. A watch or an attendance is never answered: it
// would wait in vain, until it is cut. A Book knows such guests and shows them out, so that the rest is all that is waited for:
//
//	book := guest.NewBook(clusterv1.ControlService_Attend_FullMethodName)
//	server := grpc.NewServer(book.Options()...)
//	...
//	book.ShowOut()
//	server.GracefulStop()
package guest
