// Package certstest is a certificate authority in memory, for tests.
//
//	a := certstest.New(t, "ours")
//	f := a.Files(t, t.TempDir(), certstest.Leaf{Name: "node", Hosts: []string{"127.0.0.1"}})
package certstest
