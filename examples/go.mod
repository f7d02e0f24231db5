module github.com/authfactor/mfa/examples

go 1.26.0

require (
	github.com/authfactor/mfa v0.0.0
	go.etcd.io/bbolt v1.5.0
)

require (
	github.com/boombuler/barcode v1.1.0 // indirect
	github.com/nyaruka/phonenumbers v1.8.1 // indirect
	github.com/oklog/ulid/v2 v2.1.2 // indirect
	github.com/pquerna/otp v1.5.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
	golang.org/x/text v0.23.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)

replace github.com/authfactor/mfa => ../
