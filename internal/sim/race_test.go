//go:build race

package main

// raceDetector makes the simulation, which has one goroutine, 16 times slower.
const raceDetector = true
