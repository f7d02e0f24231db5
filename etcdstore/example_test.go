package etcdstore_test

import (
	"context"
	"log"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/etcdstore"
	"github.com/authfactor/mfa/mfatest"
)

// A service over a cluster of three members. Each process of the application does this.
func Example() {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{ // all members
			"https://etcd-1.example.com:2379",
			"https://etcd-2.example.com:2379",
			"https://etcd-3.example.com:2379",
		},
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	store, err := etcdstore.New(ctx, etcdstore.Config{Client: client, Prefix: "shop/mfa/"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = mfa.New(mfa.Config{
		Store: store,
		Keys:  mfatest.Keys(), // in production: mfa.ParseKeyring(os.Getenv("MFA_KEYS"))
	})
	if err != nil {
		log.Fatal(err)
	}
}
