module github.com/authfactor/mfa

go 1.26.0
