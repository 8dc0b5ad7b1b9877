import { testRepositoryIn } from "./s3-suite.js";

await testRepositoryIn("versitygw");
