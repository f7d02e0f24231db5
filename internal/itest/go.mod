module github.com/authfactor/mfa/internal/itest

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/authfactor/mfa v0.0.0
	github.com/makiuchi-d/gozxing v0.1.1
)

require (
	github.com/boombuler/barcode v1.1.0 // indirect
	github.com/nyaruka/phonenumbers v1.8.1 // indirect
	github.com/oklog/ulid/v2 v2.1.2 // indirect
	github.com/pquerna/otp v1.5.0 // indirect
	golang.org/x/text v0.23.0 // indirect
	golang.org/x/xerrors v0.0.0-20200804184101-5ec99f83aff1 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)

replace github.com/authfactor/mfa => ../../
