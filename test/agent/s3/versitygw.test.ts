import { testRepositoryIn } from "./s3-suite.js";

testRepositoryIn("versitygw");
